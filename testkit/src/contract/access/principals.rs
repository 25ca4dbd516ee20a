//! Who asks and what they may, with what was changed a moment ago.

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use domain::access::{Change, Email, NewApiToken, Principal, ProjectRole, Right, Scope, Via};
use domain::id::{ProjectId, SessionId, TokenId, UserId};
use domain::port::access::{MemberDesk, OwnAccess, Principals, SignIns, UserDesk};
use domain::{Precondition, Version};

use super::{ANY, by, digest, fresh_email, identity, wish};

const NOBODY: UserId = UserId(i64::MAX);

/// Somebody who has signed in.
struct Ann<'a> {
    port: &'a dyn Principals,
    email: Email,
    user: UserId,
    session: SessionId,
    now: DateTime<Utc>,
    later: DateTime<Utc>,
}

impl Ann<'_> {
    async fn known(&self) -> Result<Principal> {
        let known = self.port.by_session(self.session, self.later).await?;
        known.context("a signed-in person isn't known")
    }
}

/// `project` is one that there is, by its slug and its id.
pub async fn principals(
    port: &dyn Principals,
    sign_ins: &dyn SignIns,
    users: &dyn UserDesk,
    members: &dyn MemberDesk,
    own: &dyn OwnAccess,
    (slug, project): (&str, ProjectId),
) -> Result<()> {
    let email = fresh_email();
    let user = users.invite(&email, &by()).await?.id;
    let signed_in = sign_ins
        .sign_in(wish(&identity(&[&email]), digest()))
        .await?
        .context("refused")?;
    let ann = Ann {
        port,
        email,
        user,
        session: signed_in.session,
        now: signed_in.now,
        later: signed_in.now + TimeDelta::minutes(10),
    };
    by_session(&ann).await?;
    found(members, &ann, (slug, project)).await?;
    membership(members, &ann, project).await?;
    membership_as_it_was_seen(members, &ann, project).await?;
    unknown_members(members, &ann, project).await?;
    tokens(own, users, &ann).await?;
    tokens_of_who_was_kept_out(own, users, &ann).await?;
    ensure!(
        !own.end_session(NOBODY, ann.session, &by()).await?,
        "somebody else ended it"
    );
    Ok(())
}

async fn by_session(ann: &Ann<'_>) -> Result<()> {
    let &Ann {
        port,
        session,
        now,
        later,
        ..
    } = ann;
    let principal = ann.known().await?;
    ensure!(
        principal.user == Some(ann.user)
            && principal.name == ann.email.as_str()
            && principal.via == Via::Session(session),
        "it is {principal:?}"
    );
    ensure!(
        port.standing(&[Via::Session(SessionId(i64::MAX)), principal.via.clone()])
            .await?
            == [None, Some(principal.clone())],
        "somebody else is connected"
    );
    ensure!(
        !principal.may(Right::ProjectRead),
        "an invited person may read a project"
    );
    ensure!(
        port.by_session(session, now).await?.is_none(),
        "an expired access token is good"
    );
    ensure!(
        port.by_session(SessionId(i64::MAX), later).await?.is_none(),
        "an unknown session is good"
    );
    Ok(())
}

/// A project by its slug, a person by their address.
async fn found(members: &dyn MemberDesk, ann: &Ann<'_>, (slug, project): (&str, ProjectId)) -> Result<()> {
    ensure!(
        members.project(slug).await? == Some(project),
        "the project isn't found by its slug"
    );
    ensure!(
        members.person(&ann.email).await? == Some(ann.user),
        "a person isn't found by their address"
    );
    ensure!(
        members.person(&fresh_email()).await?.is_none(),
        "nobody was found"
    );
    ensure!(
        members.project("no-such").await?.is_none(),
        "an unknown project was found"
    );
    Ok(())
}

async fn membership(members: &dyn MemberDesk, ann: &Ann<'_>, project: ProjectId) -> Result<()> {
    let user = ann.user;
    for role in [ProjectRole::ReadWrite, ProjectRole::Admin, ProjectRole::Read] {
        let set = members.set(project, user, role, &ANY, &by()).await?;
        ensure!(
            matches!(&set, Change::Done(member) if member.role == role && member.email == ann.email),
            "set to {set:?}"
        );
        ensure!(
            ann.known().await?.memberships == [(project, role)],
            "the role isn't known at once"
        );
        let listed = members.list(project).await?;
        let listed: Vec<_> = listed.iter().filter(|m| m.user == user).map(|m| m.role).collect();
        ensure!(listed == [role], "listed as {listed:?}");
    }
    ensure!(
        members.remove(project, user, &ANY, &by()).await? == Change::Done(()),
        "a member stays"
    );
    ensure!(
        members.remove(project, user, &ANY, &by()).await? == Change::Done(()),
        "removing isn't idempotent"
    );
    ensure!(
        ann.known().await?.memberships.is_empty(),
        "a removed member is one"
    );
    Ok(())
}

/// Of two who saw the same, the second is told.
async fn membership_as_it_was_seen(
    members: &dyn MemberDesk,
    ann: &Ann<'_>,
    project: ProjectId,
) -> Result<()> {
    let user = ann.user;
    let (write, admin) = (ProjectRole::ReadWrite, ProjectRole::Admin);
    let unseen = &Precondition::Absent;
    ensure!(
        matches!(
            members.set(project, user, write, unseen, &by()).await?,
            Change::Done(_)
        ),
        "nobody could be made a member"
    );
    ensure!(
        members.set(project, user, admin, unseen, &by()).await? == Change::Stale,
        "a member was overwritten by one who saw none"
    );
    let seen = Precondition::is(Version::new(write.as_str()));
    ensure!(
        matches!(
            members.set(project, user, admin, &seen, &by()).await?,
            Change::Done(_)
        ),
        "what was seen is so, and was refused"
    );
    ensure!(
        members.set(project, user, write, &seen, &by()).await? == Change::Stale
            && members.remove(project, user, &seen, &by()).await? == Change::Stale,
        "a role was overwritten by one who saw another"
    );
    ensure!(
        ann.known().await?.memberships == [(project, admin)],
        "the second one won"
    );
    members
        .remove(project, user, &Precondition::Present, &by())
        .await?;
    ensure!(
        members
            .remove(project, user, &Precondition::Present, &by())
            .await?
            == Change::Stale,
        "nobody was there, and was removed"
    );
    Ok(())
}

async fn unknown_members(members: &dyn MemberDesk, ann: &Ann<'_>, project: ProjectId) -> Result<()> {
    let (no_project, read) = (ProjectId(i64::MAX), ProjectRole::Read);
    ensure!(
        members.set(no_project, ann.user, read, &ANY, &by()).await? == Change::NotFound,
        "no such project"
    );
    ensure!(
        members.set(project, NOBODY, read, &ANY, &by()).await? == Change::NotFound,
        "no such person"
    );
    ensure!(
        members.remove(project, NOBODY, &ANY, &by()).await? == Change::NotFound,
        "no such person"
    );
    Ok(())
}

async fn tokens(own: &dyn OwnAccess, users: &dyn UserDesk, ann: &Ann<'_>) -> Result<()> {
    let &Ann {
        port, user, session, ..
    } = ann;
    let secret = digest();
    let wish = NewApiToken {
        name: "the laptop".to_owned(),
        scopes: vec![Scope::Read, Scope::Write],
        days: 30,
        digest: secret,
    };
    let made = own.create_token(user, wish, &by()).await?;
    ensure!(
        made.expires_at - made.created_at == TimeDelta::days(30),
        "it ends at {}",
        made.expires_at
    );
    let principal = port.by_token(secret).await?.context("a new token isn't known")?;
    let via = Via::Token {
        id: made.id,
        scopes: vec![Scope::Read, Scope::Write],
    };
    ensure!(
        principal.via == via && principal.user == Some(user),
        "it is {principal:?}"
    );
    let listed = own.tokens(user).await?;
    ensure!(
        listed.len() == 1 && listed[0].id == made.id && listed[0].last_used_at.is_some(),
        "listed as {listed:?}"
    );
    ensure!(
        port.by_token(digest()).await?.is_none(),
        "an invented token is good"
    );
    ensure!(
        !own.revoke_token(NOBODY, made.id, &by()).await?,
        "somebody else revoked it"
    );
    ensure!(
        !own.revoke_token(user, TokenId(i64::MAX), &by()).await?,
        "an unknown one was revoked"
    );
    users.sign_out_everywhere(user, &by()).await?;
    let all = [via.clone(), Via::Session(session), Via::Development];
    let standing = port.standing(&all).await?;
    ensure!(
        standing == [port.by_token(secret).await?, None, Some(Principal::development())],
        "with a token, an ended session and the development token connected are {standing:?}"
    );
    ensure!(own.revoke_token(user, made.id, &by()).await?, "not revoked");
    ensure!(port.standing(&all).await?[0].is_none(), "revoked, and connected");
    ensure!(!own.revoke_token(user, made.id, &by()).await?, "revoked twice");
    ensure!(
        port.by_token(secret).await?.is_none() && own.tokens(user).await?.is_empty(),
        "revoked, and good"
    );
    Ok(())
}

async fn tokens_of_who_was_kept_out(own: &dyn OwnAccess, users: &dyn UserDesk, ann: &Ann<'_>) -> Result<()> {
    let &Ann { port, user, .. } = ann;
    let secret = digest();
    let wish = NewApiToken {
        name: "another".to_owned(),
        scopes: vec![Scope::Read],
        days: 1,
        digest: secret,
    };
    own.create_token(user, wish, &by()).await?;
    ensure!(port.by_token(secret).await?.is_some(), "a fresh token isn't good");
    users.set_active(user, false, &ANY, &by()).await?;
    ensure!(
        port.by_token(secret).await?.is_none(),
        "a deactivated person's token is good"
    );
    users.set_active(user, true, &ANY, &by()).await?;
    ensure!(
        port.by_token(secret).await?.is_none() && own.tokens(user).await?.is_empty(),
        "what was taken away came back with the person"
    );
    Ok(())
}
