//! The suite of [`DeviceSignIns`].

use anyhow::{Context, Result, ensure};
use domain::access::{Collected, DeviceWish, Digest, NewDeviceSignIn, Scope, UserCode, Via};
use domain::flow::FlowActor;
use domain::port::access::{DeviceSignIns, Principals, UserDesk};

fn fresh() -> Result<NewDeviceSignIn> {
    Ok(NewDeviceSignIn {
        device: Digest(rand::random()),
        code: UserCode::of(&rand::random::<[u8; 64]>()).context("64 bytes make a code")?,
        wish: DeviceWish {
            name: "codex-k8s on a laptop".to_owned(),
            scopes: vec![Scope::Read, Scope::Write],
            days: 30,
            source: Some("192.0.2.7".to_owned()),
        },
    })
}

/// Begun, confirmed by a person, collected once; denied; too late.
pub async fn device_sign_ins(
    port: &dyn DeviceSignIns,
    users: &dyn UserDesk,
    principals: &dyn Principals,
) -> Result<()> {
    let by = &FlowActor::Human("root@example.com".to_owned());
    let email = format!("{}@example.com", hex::encode(rand::random::<[u8; 8]>())).parse()?;
    let user = users.invite(&email, by).await?.id;
    let token = || Digest(rand::random());

    let new = fresh()?;
    ensure!(port.begin(new.clone(), 600).await?, "it can be begun");
    let same_code = NewDeviceSignIn {
        code: new.code.clone(),
        ..fresh()?
    };
    ensure!(!port.begin(same_code, 600).await?, "a code stands for one");
    ensure!(port.collect(new.device, token()).await? == Collected::Pending);
    let shown = port.find(&new.code).await?.context("it is found by its code")?;
    ensure!(
        shown.wish == new.wish && shown.expires_at > shown.created_at,
        "{shown:?}"
    );
    ensure!(
        port.decide(user, &new.code, true, by).await?,
        "it can be confirmed"
    );
    ensure!(!port.decide(user, &new.code, false, by).await?, "once");
    ensure!(
        port.find(&new.code).await?.is_none(),
        "a decided one isn't shown again"
    );
    ensure!(
        port.collect(token(), token()).await? == Collected::Gone,
        "only its own secret counts"
    );
    let kept = token();
    let Collected::Token(made, whose) = port.collect(new.device, kept).await? else {
        anyhow::bail!("a confirmed one is collected");
    };
    ensure!(whose == email && made.name == new.wish.name && made.scopes == new.wish.scopes);
    ensure!((made.expires_at - made.created_at).num_days() == 30);
    let principal = principals.by_token(kept).await?.context("the token is good")?;
    ensure!(principal.user == Some(user) && matches!(principal.via, Via::Token { .. }));
    ensure!(
        port.collect(new.device, token()).await? == Collected::Gone,
        "collected once"
    );

    let denied = fresh()?;
    port.begin(denied.clone(), 600).await?;
    port.decide(user, &denied.code, false, by).await?;
    ensure!(port.collect(denied.device, token()).await? == Collected::Denied);
    ensure!(port.collect(denied.device, token()).await? == Collected::Gone);

    let late = fresh()?;
    port.begin(late.clone(), 0).await?;
    ensure!(port.find(&late.code).await?.is_none() && !port.decide(user, &late.code, true, by).await?);
    ensure!(port.collect(late.device, token()).await? == Collected::Gone);

    let left = fresh()?;
    port.begin(left.clone(), 600).await?;
    port.decide(user, &left.code, true, by).await?;
    users
        .set_active(user, false, &domain::Precondition::Anything, by)
        .await?;
    ensure!(
        port.collect(left.device, token()).await? == Collected::Denied,
        "who may not sign in gets none"
    );
    Ok(())
}
