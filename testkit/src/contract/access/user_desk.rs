//! The people that there are.

use anyhow::{Context, Result, ensure};
use domain::Precondition;
use domain::access::{Change, PlatformRole};
use domain::id::UserId;
use domain::port::access::{SignIns, UserDesk};

use super::{ANY, by, digest, fresh_email, identity, wish};

/// People are invited, listed and changed; the owner stays.
pub async fn user_desk(port: &dyn UserDesk, sign_ins: &dyn SignIns) -> Result<()> {
    let owner = fresh_email();
    sign_ins.ensure_owner(&owner).await?;
    let mut invited = Vec::new();
    for _ in 0..4 {
        invited.push(port.invite(&fresh_email(), &by()).await?);
    }
    let again = port.invite(&invited[0].email, &by()).await?;
    ensure!(again == invited[0], "invited twice: {again:?}");
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = port.list(after, 2).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(page);
    }
    ensure!(seen.ends_with(&invited), "the pages were {seen:?}");
    let owner = seen.iter().find(|user| user.role == PlatformRole::Owner);
    let owner = owner.context("there is no owner")?.id;

    let id = invited[0].id;
    let admin = port.set_role(id, PlatformRole::Admin, &ANY, &by()).await?;
    ensure!(
        matches!(&admin, Change::Done(user) if user.role == PlatformRole::Admin),
        "it is {admin:?}"
    );
    ensure!(
        port.get(id)
            .await?
            .is_some_and(|user| user.role == PlatformRole::Admin),
        "not kept"
    );
    let before = Precondition::is(invited[0].version());
    ensure!(
        port.set_role(id, PlatformRole::None, &before, &by()).await? == Change::Stale
            && port.set_active(id, false, &before, &by()).await? == Change::Stale,
        "somebody was changed by one who saw them before that"
    );
    let seen = match admin {
        Change::Done(admin) => Precondition::is(admin.version()),
        other => anyhow::bail!("{other:?}"),
    };
    let out = port.set_active(id, false, &seen, &by()).await?;
    ensure!(
        matches!(&out, Change::Done(user) if !user.active),
        "it is {out:?}"
    );
    for refused in [
        port.set_role(owner, PlatformRole::Admin, &ANY, &by()).await?,
        port.set_role(id, PlatformRole::Owner, &ANY, &by()).await?,
        port.set_active(owner, false, &ANY, &by()).await?,
    ] {
        ensure!(refused == Change::OwnerStays, "the owner changed: {refused:?}");
    }
    let nobody = UserId(i64::MAX);
    ensure!(port.get(nobody).await?.is_none(), "nobody was found");
    ensure!(
        port.set_role(nobody, PlatformRole::None, &ANY, &by()).await? == Change::NotFound,
        "nobody has a role"
    );
    ensure!(
        port.set_active(nobody, true, &ANY, &by()).await? == Change::NotFound,
        "nobody is active"
    );
    let heir = &invited[1];
    ensure!(
        port.hand_over(heir.id, &by()).await? == Change::OwnerStays
            && port.hand_over(id, &by()).await? == Change::OwnerStays
            && port.hand_over(nobody, &by()).await? == Change::NotFound,
        "somebody who never signed in, or may not, became the owner"
    );
    sign_ins
        .sign_in(wish(&identity(&[&heir.email]), digest()))
        .await?;
    let handed = port.hand_over(heir.id, &by()).await?;
    ensure!(
        matches!(&handed, Change::Done(user) if user.role == PlatformRole::Owner),
        "it is {handed:?}"
    );
    let former = port.get(owner).await?.context("the former owner is gone")?;
    ensure!(
        former.role == PlatformRole::Admin,
        "the former owner is {former:?}"
    );
    Ok(())
}
