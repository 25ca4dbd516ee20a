//! The suites of [`domain::port::access`].

use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use domain::access::{
    Change, Digest, Email, Identity, NewApiToken, NewSignIn, NewSigningKey, OwnerWish, PlatformRole,
    Principal, ProjectRole, Refreshed, Right, Scope, SessionTimes, SignedIn, Via,
};
use domain::flow::FlowActor;
use domain::id::{ProjectId, SessionId, TokenId, UserId};
use domain::port::access::{MemberDesk, OwnAccess, Principals, SignIns, SigningKeys, UserDesk};
use domain::{Precondition, Secret, Version};

/// Whatever it is.
const ANY: Precondition = Precondition::Anything;

const TIMES: SessionTimes = SessionTimes {
    idle_s: 3_600,
    whole_s: 86_400,
};

fn digest() -> Digest {
    Digest(rand::random())
}

fn fresh_email() -> Email {
    let text = format!("{}@example.com", hex::encode(rand::random::<[u8; 8]>()));
    #[expect(clippy::expect_used, reason = "hexadecimal digits are an address's")]
    text.parse().expect("an e-mail address")
}

fn identity(emails: &[&Email]) -> Identity {
    Identity {
        github_id: rand::random_range(1..i64::MAX),
        login: "ann".to_owned(),
        verified_emails: emails.iter().map(|email| (*email).clone()).collect(),
    }
}

fn wish(identity: &Identity, refresh: Digest) -> NewSignIn {
    NewSignIn {
        identity: identity.clone(),
        refresh,
        user_agent: Some("a browser\0".to_owned()),
        times: TIMES,
    }
}

fn by() -> FlowActor {
    FlowActor::Human("root@example.com".to_owned())
}

fn good(refreshed: Refreshed) -> Result<SignedIn> {
    match refreshed {
        Refreshed::Good(signed_in) => Ok(signed_in),
        other => anyhow::bail!("a good refresh token was {other:?}"),
    }
}

/// Signing in, refreshing, signing out; run on a store without an owner.
#[expect(
    clippy::too_many_lines,
    reason = "one story: each step stands on those before it"
)]
pub async fn sign_ins(
    port: &dyn SignIns,
    users: &dyn UserDesk,
    who: &dyn Principals,
    own: &dyn OwnAccess,
) -> Result<()> {
    let (owner, ann) = (fresh_email(), fresh_email());
    ensure!(
        port.ensure_owner(&owner).await? == OwnerWish::Made,
        "no owner was made"
    );
    ensure!(
        port.ensure_owner(&owner).await? == OwnerWish::Already,
        "the owner was made twice"
    );
    ensure!(
        port.ensure_owner(&ann).await? == OwnerWish::SomebodyElse,
        "a second owner was made"
    );

    // Nobody comes in who wasn't invited.
    let account = identity(&[&ann, &fresh_email()]);
    let stranger = port.sign_in(wish(&account, digest())).await?;
    ensure!(stranger.is_none(), "a stranger signed in: {stranger:?}");
    let user = users.invite(&ann, &by()).await?;
    let unverified = port.sign_in(wish(&identity(&[]), digest())).await?;
    ensure!(
        unverified.is_none(),
        "somebody without a verified address signed in"
    );
    let first = digest();
    let signed_in = port
        .sign_in(wish(&account, first))
        .await?
        .context("invited, and refused")?;
    ensure!(signed_in.user == user.id, "signed in as somebody else");
    let ends_in = signed_in.expires_at - signed_in.now;
    ensure!(
        (TIMES.idle_s - 60..=TIMES.idle_s + 60).contains(&ends_in.num_seconds()),
        "unused, it ends in {ends_in}"
    );

    // The account is bound: by its number, whatever its addresses are later; another one isn't it.
    let moved = Identity {
        verified_emails: vec![],
        login: "ann-moved".to_owned(),
        ..account.clone()
    };
    let again = port
        .sign_in(wish(&moved, digest()))
        .await?
        .context("the bound account was refused")?;
    ensure!(
        again.user == user.id && again.session != signed_in.session,
        "another person or no new session"
    );
    let thief = port.sign_in(wish(&identity(&[&ann]), digest())).await?;
    ensure!(thief.is_none(), "another account took over a bound person");
    users.invite(&fresh_email(), &by()).await?;
    let shown = users
        .get(user.id)
        .await?
        .context("an invited person isn't there")?;
    ensure!(
        shown.login.as_deref() == Some("ann-moved") && shown.github_id == Some(account.github_id),
        "the person is {shown:?}"
    );

    // Each refresh token once; the second use ends the session, also for the one who has the newest.
    let later = signed_in.now + TimeDelta::minutes(10);
    let (second, third) = (digest(), digest());
    ensure!(
        good(port.refresh(first, second, TIMES).await?)?.session == signed_in.session,
        "another session"
    );
    ensure!(
        good(port.refresh(second, third, TIMES).await?)?.user == user.id,
        "another person"
    );
    ensure!(
        who.by_session(signed_in.session, later).await?.is_some(),
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
        who.by_session(signed_in.session, later).await?.is_none(),
        "its session lives on"
    );
    ensure!(
        who.by_session(again.session, later).await?.is_some(),
        "another session ended with it"
    );
    ensure!(
        port.refresh(digest(), digest(), TIMES).await? == Refreshed::Refused,
        "an invented token was good"
    );

    // Signing out, here and everywhere.
    let (here, there) = (digest(), digest());
    let one = port.sign_in(wish(&account, here)).await?.context("refused")?;
    let two = port.sign_in(wish(&account, there)).await?.context("refused")?;
    port.sign_out(here).await?;
    port.sign_out(here).await?;
    port.sign_out(digest()).await?;
    ensure!(
        port.refresh(here, digest(), TIMES).await? == Refreshed::Refused,
        "refreshed after signing out"
    );
    let open: Vec<SessionId> = own
        .sessions(user.id)
        .await?
        .iter()
        .map(|session| session.id)
        .collect();
    ensure!(
        open == [two.session, again.session],
        "open sessions are {open:?}, not {one:?}"
    );
    ensure!(
        users.sign_out_everywhere(user.id, &by()).await? == 2,
        "not two were ended"
    );
    ensure!(
        users.sign_out_everywhere(user.id, &by()).await? == 0,
        "ended twice"
    );
    ensure!(own.sessions(user.id).await?.is_empty(), "a session is left");
    ensure!(
        port.refresh(there, digest(), TIMES).await? == Refreshed::Refused,
        "refreshed after signing out"
    );

    // Who is kept out is out at once, and can't come back in.
    let token = digest();
    let last = port.sign_in(wish(&account, token)).await?.context("refused")?;
    users.set_active(user.id, false, &ANY, &by()).await?;
    ensure!(
        who.by_session(last.session, later).await?.is_none(),
        "a deactivated person is known"
    );
    ensure!(
        port.refresh(token, digest(), TIMES).await? == Refreshed::Refused,
        "and refreshes"
    );
    ensure!(
        port.sign_in(wish(&account, digest())).await?.is_none(),
        "and signs in"
    );
    users.set_active(user.id, true, &ANY, &by()).await?;
    ensure!(
        who.by_session(last.session, later).await?.is_none(),
        "an ended session came back"
    );
    ensure!(
        port.sign_in(wish(&account, digest())).await?.is_some(),
        "let in again, and refused"
    );
    Ok(())
}

/// Who asks and what they may, with what was changed a moment ago; `project` is one that there is.
#[expect(
    clippy::too_many_lines,
    reason = "one story: each step stands on those before it"
)]
pub async fn principals(
    port: &dyn Principals,
    sign_ins: &dyn SignIns,
    users: &dyn UserDesk,
    members: &dyn MemberDesk,
    own: &dyn OwnAccess,
    (slug, project): (&str, ProjectId),
) -> Result<()> {
    let ann = fresh_email();
    let user = users.invite(&ann, &by()).await?.id;
    let signed_in = sign_ins
        .sign_in(wish(&identity(&[&ann]), digest()))
        .await?
        .context("refused")?;
    let (session, now) = (signed_in.session, signed_in.now);
    let later = now + TimeDelta::minutes(10);
    let known = || async {
        let known = port.by_session(session, later).await?;
        known.context("a signed-in person isn't known")
    };
    let principal = known().await?;
    ensure!(
        principal.user == Some(user)
            && principal.name == ann.as_str()
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

    ensure!(
        members.project(slug).await? == Some(project),
        "the project isn't found by its slug"
    );
    ensure!(
        members.person(&ann).await? == Some(user),
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
    for role in [ProjectRole::ReadWrite, ProjectRole::Admin, ProjectRole::Read] {
        let set = members.set(project, user, role, &ANY, &by()).await?;
        ensure!(
            matches!(&set, Change::Done(member) if member.role == role && member.email == ann),
            "set to {set:?}"
        );
        ensure!(
            known().await?.memberships == [(project, role)],
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
    ensure!(known().await?.memberships.is_empty(), "a removed member is one");

    // Of two who saw the same, the second is told.
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
        known().await?.memberships == [(project, admin)],
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
    let (no_project, nobody) = (ProjectId(i64::MAX), UserId(i64::MAX));
    let read = ProjectRole::Read;
    ensure!(
        members.set(no_project, user, read, &ANY, &by()).await? == Change::NotFound,
        "no such project"
    );
    ensure!(
        members.set(project, nobody, read, &ANY, &by()).await? == Change::NotFound,
        "no such person"
    );
    ensure!(
        members.remove(project, nobody, &ANY, &by()).await? == Change::NotFound,
        "no such person"
    );

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
        !own.revoke_token(nobody, made.id, &by()).await?,
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
    let other = digest();
    let second = NewApiToken {
        name: "another".to_owned(),
        scopes: vec![Scope::Read],
        days: 1,
        digest: other,
    };
    own.create_token(user, second, &by()).await?;
    ensure!(port.by_token(other).await?.is_some(), "a fresh token isn't good");
    users.set_active(user, false, &ANY, &by()).await?;
    ensure!(
        port.by_token(other).await?.is_none(),
        "a deactivated person's token is good"
    );
    users.set_active(user, true, &ANY, &by()).await?;
    ensure!(
        port.by_token(other).await?.is_none() && own.tokens(user).await?.is_empty(),
        "what was taken away came back with the person"
    );
    ensure!(
        !own.end_session(nobody, session, &by()).await?,
        "somebody else ended it"
    );
    Ok(())
}

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

/// Keys are added one at a time and come back whole; run on a store without any.
pub async fn signing_keys(port: &dyn SigningKeys) -> Result<()> {
    let key = || NewSigningKey {
        id: hex::encode(rand::random::<[u8; 16]>()),
        seed: Secret::new(rand::random()),
        public: rand::random(),
    };
    let (first, second, third) = (key(), key(), key());
    ensure!(
        port.add(first.clone(), 3_600, 600).await?,
        "the first key wasn't added"
    );
    ensure!(
        !port.add(key(), 3_600, 600).await?,
        "a key was added beside a fresh one"
    );
    let kept = port.list().await?;
    ensure!(
        kept.len() == 1 && kept[0].signs,
        "the first doesn't sign at once: {kept:?}"
    );
    ensure!(
        kept[0].key.id == first.id && kept[0].key.seed == first.seed && kept[0].key.public == first.public,
        "it came back changed"
    );
    ensure!(
        port.add(second.clone(), 0, 600).await?,
        "an old key wasn't followed"
    );
    let kept: Vec<_> = port
        .list()
        .await?
        .into_iter()
        .map(|k| (k.key.id, k.signs))
        .collect();
    let expected = [(first.id.clone(), true), (second.id.clone(), false)];
    ensure!(kept == expected, "with the second published they are {kept:?}");
    ensure!(port.add(third.clone(), 0, 0).await?, "the third wasn't added");
    let kept: Vec<_> = port
        .list()
        .await?
        .into_iter()
        .map(|k| (k.key.id, k.signs))
        .collect();
    ensure!(
        kept.first() == Some(&(third.id, true)),
        "the newest that may doesn't sign: {kept:?}"
    );
    Ok(())
}
