//! Signing in, refreshing, signing out.

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use domain::access::{Digest, Email, Identity, OwnerWish, Refreshed, SignedIn};
use domain::id::{SessionId, UserId};
use domain::port::access::{OwnAccess, Principals, SignIns, UserDesk};

use super::{ANY, TIMES, by, digest, fresh_email, identity, wish};

struct Ports<'a> {
    port: &'a dyn SignIns,
    users: &'a dyn UserDesk,
    who: &'a dyn Principals,
    own: &'a dyn OwnAccess,
}

/// Somebody who was invited and has signed in with this account.
struct Ann {
    account: Identity,
    user: UserId,
    signed_in: SignedIn,
    refresh: Digest,
    later: DateTime<Utc>,
}

/// Run on a store without an owner.
pub async fn sign_ins(
    port: &dyn SignIns,
    users: &dyn UserDesk,
    who: &dyn Principals,
    own: &dyn OwnAccess,
) -> Result<()> {
    let ports = Ports {
        port,
        users,
        who,
        own,
    };
    one_owner(port).await?;
    let ann = only_who_was_invited(&ports, &fresh_email()).await?;
    let again = bound_to_the_account(&ports, &ann).await?;
    refresh_tokens_are_good_once(&ports, &ann, again).await?;
    signing_out(&ports, &ann, again).await?;
    kept_out_at_once(&ports, &ann).await
}

fn good(refreshed: Refreshed) -> Result<SignedIn> {
    match refreshed {
        Refreshed::Good(signed_in) => Ok(signed_in),
        other => anyhow::bail!("a good refresh token was {other:?}"),
    }
}

async fn one_owner(port: &dyn SignIns) -> Result<()> {
    let owner = fresh_email();
    ensure!(
        port.ensure_owner(&owner).await? == OwnerWish::Made,
        "no owner was made"
    );
    ensure!(
        port.ensure_owner(&owner).await? == OwnerWish::Already,
        "the owner was made twice"
    );
    ensure!(
        port.ensure_owner(&fresh_email()).await? == OwnerWish::SomebodyElse,
        "a second owner was made"
    );
    Ok(())
}

async fn only_who_was_invited(&Ports { port, users, .. }: &Ports<'_>, ann: &Email) -> Result<Ann> {
    let account = identity(&[ann, &fresh_email()]);
    let stranger = port.sign_in(wish(&account, digest())).await?;
    ensure!(stranger.is_none(), "a stranger signed in: {stranger:?}");
    let user = users.invite(ann, &by()).await?;
    let unverified = port.sign_in(wish(&identity(&[]), digest())).await?;
    ensure!(
        unverified.is_none(),
        "somebody without a verified address signed in"
    );
    let refresh = digest();
    let signed_in = port
        .sign_in(wish(&account, refresh))
        .await?
        .context("invited, and refused")?;
    ensure!(signed_in.user == user.id, "signed in as somebody else");
    let ends_in = signed_in.expires_at - signed_in.now;
    ensure!(
        (TIMES.idle_s - 60..=TIMES.idle_s + 60).contains(&ends_in.num_seconds()),
        "unused, it ends in {ends_in}"
    );
    let thief = port.sign_in(wish(&identity(&[ann]), digest())).await?;
    ensure!(thief.is_none(), "another account took over a bound person");
    Ok(Ann {
        later: signed_in.now + TimeDelta::minutes(10),
        account,
        user: user.id,
        signed_in,
        refresh,
    })
}

/// By its number, whatever its addresses are later; gives another session.
async fn bound_to_the_account(&Ports { port, users, .. }: &Ports<'_>, ann: &Ann) -> Result<SessionId> {
    let moved = Identity {
        verified_emails: vec![],
        login: "ann-moved".to_owned(),
        ..ann.account.clone()
    };
    let again = port
        .sign_in(wish(&moved, digest()))
        .await?
        .context("the bound account was refused")?;
    ensure!(
        again.user == ann.user && again.session != ann.signed_in.session,
        "another person or no new session"
    );
    users.invite(&fresh_email(), &by()).await?;
    let shown = users
        .get(ann.user)
        .await?
        .context("an invited person isn't there")?;
    ensure!(
        shown.login.as_deref() == Some("ann-moved") && shown.github_id == Some(ann.account.github_id),
        "the person is {shown:?}"
    );
    Ok(again.session)
}

/// The second use ends the session, also for the one who has the newest.
async fn refresh_tokens_are_good_once(
    &Ports { port, who, .. }: &Ports<'_>,
    ann: &Ann,
    another: SessionId,
) -> Result<()> {
    let (session, later) = (ann.signed_in.session, ann.later);
    let (second, third) = (digest(), digest());
    ensure!(
        good(port.refresh(ann.refresh, second, TIMES).await?)?.session == session,
        "another session"
    );
    ensure!(
        good(port.refresh(second, third, TIMES).await?)?.user == ann.user,
        "another person"
    );
    ensure!(
        who.by_session(session, later).await?.is_some(),
        "a refreshed session isn't known"
    );
    ensure!(
        port.refresh(second, digest(), TIMES).await? == Refreshed::Reused,
        "a copy was good"
    );
    ensure!(
        port.refresh(third, digest(), TIMES).await? == Refreshed::Refused,
        "its family lives on"
    );
    ensure!(
        who.by_session(session, later).await?.is_none(),
        "its session lives on"
    );
    ensure!(
        who.by_session(another, later).await?.is_some(),
        "another session ended with it"
    );
    ensure!(
        port.refresh(digest(), digest(), TIMES).await? == Refreshed::Refused,
        "an invented token was good"
    );
    Ok(())
}

/// Here and everywhere.
async fn signing_out(
    &Ports { port, users, own, .. }: &Ports<'_>,
    ann: &Ann,
    another: SessionId,
) -> Result<()> {
    let (here, there) = (digest(), digest());
    let one = port.sign_in(wish(&ann.account, here)).await?.context("refused")?;
    let two = port
        .sign_in(wish(&ann.account, there))
        .await?
        .context("refused")?;
    port.sign_out(here).await?;
    port.sign_out(here).await?;
    port.sign_out(digest()).await?;
    ensure!(
        port.refresh(here, digest(), TIMES).await? == Refreshed::Refused,
        "refreshed after signing out"
    );
    let open: Vec<SessionId> = own
        .sessions(ann.user)
        .await?
        .iter()
        .map(|session| session.id)
        .collect();
    ensure!(
        open == [two.session, another],
        "open sessions are {open:?}, not {one:?}"
    );
    ensure!(
        users.sign_out_everywhere(ann.user, &by()).await? == 2,
        "not two were ended"
    );
    ensure!(
        users.sign_out_everywhere(ann.user, &by()).await? == 0,
        "ended twice"
    );
    ensure!(own.sessions(ann.user).await?.is_empty(), "a session is left");
    ensure!(
        port.refresh(there, digest(), TIMES).await? == Refreshed::Refused,
        "refreshed after signing out"
    );
    Ok(())
}

/// And can't come back in.
async fn kept_out_at_once(&Ports { port, users, who, .. }: &Ports<'_>, ann: &Ann) -> Result<()> {
    let token = digest();
    let last = port
        .sign_in(wish(&ann.account, token))
        .await?
        .context("refused")?;
    users.set_active(ann.user, false, &ANY, &by()).await?;
    ensure!(
        who.by_session(last.session, ann.later).await?.is_none(),
        "a deactivated person is known"
    );
    ensure!(
        port.refresh(token, digest(), TIMES).await? == Refreshed::Refused,
        "and refreshes"
    );
    ensure!(
        port.sign_in(wish(&ann.account, digest())).await?.is_none(),
        "and signs in"
    );
    users.set_active(ann.user, true, &ANY, &by()).await?;
    ensure!(
        who.by_session(last.session, ann.later).await?.is_none(),
        "an ended session came back"
    );
    ensure!(
        port.sign_in(wish(&ann.account, digest())).await?.is_some(),
        "let in again, and refused"
    );
    Ok(())
}
