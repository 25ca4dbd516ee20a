//! Signing in, refreshing, signing out.

use async_trait::async_trait;
use domain::access::{Digest, Email, NewSignIn, OwnerWish, Refreshed, SessionTimes, SignedIn};
use domain::flow::FlowActor;
use domain::id::{SessionId, UserId};
use domain::port::PortError;
use domain::port::access::SignIns;
use serde_json::json;
use sqlx::PgConnection;

use super::audit;
use crate::Store;
use crate::error::{Error, db};
use crate::text::clean;

/// Ended sessions are kept so long, for whoever looks into what happened.
const KEEP_ENDED_DAYS: i32 = 30;

#[async_trait]
impl SignIns for Store {
    async fn ensure_owner(&self, email: &Email) -> Result<OwnerWish, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        // Gateways that start at once wait for each other here.
        sqlx::query!(
            r#"select 1 as "locked!" from pg_advisory_xact_lock(hashtextextended('platform.owner', 0))"#
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(db)?;
        let owner = sqlx::query_scalar!("select email from platform.user_account where role = 'owner'")
            .fetch_optional(&mut *tx)
            .await
            .map_err(db)?;
        if let Some(owner) = owner {
            return Ok(if owner == email.as_str() {
                OwnerWish::Already
            } else {
                OwnerWish::SomebodyElse
            });
        }
        let before = sqlx::query_scalar!(
            "select role from platform.user_account where email = $1 for update",
            email.as_str()
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(db)?;
        let id = sqlx::query_scalar!(
            "insert into platform.user_account (email, role) values ($1, 'owner')
             on conflict (email) do update set role = 'owner', active = true returning id",
            email.as_str(),
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(db)?;
        let data = audit::change(
            before.map(|role| json!({ "role": role })),
            json!({ "role": "owner" }),
        );
        audit::about_user(&mut tx, UserId(id), "access.owner_set", &FlowActor::System, data)
            .await
            .map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(OwnerWish::Made)
    }

    async fn sign_in(&self, wish: NewSignIn) -> Result<Option<SignedIn>, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let Some((user, email)) = bind(&mut tx, &wish).await.map_err(db)? else {
            return Ok(None);
        };
        // Not ours to keep for ever, and the person's own way in is a good time to tidy.
        sqlx::query!(
            "delete from platform.session where user_id = $1
             and coalesce(ended_at, expires_at) < now() - make_interval(days => $2)",
            user.0,
            KEEP_ENDED_DAYS,
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        let user_agent = wish.user_agent.as_deref().map(clean);
        let session = sqlx::query_scalar!(
            "insert into platform.session (user_id, user_agent, expires_at)
             values ($1, $2, now() + make_interval(secs => $3)) returning id",
            user.0,
            user_agent.as_deref(),
            wish.times.whole_s as f64,
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(db)?;
        let signed_in = hand_out(&mut tx, SessionId(session), user, wish.refresh, wish.times)
            .await
            .map_err(db)?;
        let data = json!({ "session": session, "login": wish.identity.login });
        audit::about_user(&mut tx, user, "access.signed_in", &FlowActor::Human(email), data)
            .await
            .map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(Some(signed_in))
    }

    async fn refresh(&self, old: Digest, new: Digest, times: SessionTimes) -> Result<Refreshed, PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        // The session first: two that refresh at once take turns, and the second meets a used token.
        let row = sqlx::query!(
            r#"select s.id, s.user_id, u.email,
                (s.ended_at is null and s.expires_at > clock_timestamp() and u.active) as "open!"
             from platform.session s join platform.user_account u on u.id = s.user_id
             where s.id = (select session_id from platform.refresh_token where digest = $1)
             for update of s"#,
            &old.0[..],
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(db)?;
        let Some(row) = row.filter(|row| row.open) else {
            return Ok(Refreshed::Refused);
        };
        let (session, user) = (SessionId(row.id), UserId(row.user_id));
        let token = sqlx::query!(
            r#"select used_at is not null as "used!", expires_at > clock_timestamp() as "lasts!"
             from platform.refresh_token where digest = $1"#,
            &old.0[..],
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(db)?;
        if token.used {
            let why = End {
                reason: "token_reused",
                kind: "access.refresh_token_reused",
            };
            end(&mut tx, session, user, &why, &FlowActor::System)
                .await
                .map_err(db)?;
            tx.commit().await.map_err(db)?;
            return Ok(Refreshed::Reused);
        }
        if !token.lasts {
            return Ok(Refreshed::Refused);
        }
        // What is over can't be reused any more.
        sqlx::query!(
            "with used as (update platform.refresh_token set used_at = clock_timestamp() where digest = $1)
             delete from platform.refresh_token where session_id = $2 and expires_at < now() and digest <> $1",
            &old.0[..],
            session.0,
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        sqlx::query!(
            "update platform.session set refreshed_at = clock_timestamp() where id = $1",
            session.0
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        let signed_in = hand_out(&mut tx, session, user, new, times).await.map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(Refreshed::Good(signed_in))
    }

    async fn sign_out(&self, refresh: Digest) -> Result<(), PortError> {
        let mut tx = self.pool.begin().await.map_err(db)?;
        let row = sqlx::query!(
            "select s.id, s.user_id, u.email
             from platform.session s join platform.user_account u on u.id = s.user_id
             where s.id = (select session_id from platform.refresh_token where digest = $1) and s.ended_at is null
             for update of s",
            &refresh.0[..],
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(db)?;
        let Some(row) = row else { return Ok(()) };
        let by = FlowActor::Human(row.email);
        end(&mut tx, SessionId(row.id), UserId(row.user_id), &SIGNED_OUT, &by)
            .await
            .map_err(db)?;
        tx.commit().await.map_err(db)
    }
}

/// Finds the person that this is, and notes the sign-in.
async fn bind(tx: &mut PgConnection, wish: &NewSignIn) -> Result<Option<(UserId, String)>, Error> {
    let identity = &wish.identity;
    let emails: Vec<String> = identity
        .verified_emails
        .iter()
        .map(|email| email.as_str().to_owned())
        .collect();
    // The bound account first; an account that is bound is never bound to a second person.
    let row = sqlx::query!(
        "select id, email, active, github_id from platform.user_account
         where github_id = $1
            or (github_id is null and email = any($2)
                and not exists (select 1 from platform.user_account where github_id = $1))
         order by github_id nulls last, role = 'owner' desc, id limit 1 for update",
        identity.github_id,
        &emails,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row.filter(|row| row.active) else {
        return Ok(None);
    };
    let login = clean(&identity.login);
    sqlx::query!(
        "update platform.user_account set github_id = $2, login = $3, signed_in_at = clock_timestamp()
         where id = $1",
        row.id,
        identity.github_id,
        login.as_ref(),
    )
    .execute(&mut *tx)
    .await?;
    if row.github_id.is_none() {
        let data = audit::change(
            json!({ "github_id": null }),
            json!({ "github_id": identity.github_id }),
        );
        let by = FlowActor::Human(row.email.clone());
        audit::about_user(tx, UserId(row.id), "access.github_bound", &by, data).await?;
    }
    Ok(Some((UserId(row.id), row.email)))
}

/// Writes the session's next refresh token; it never outlives the session.
async fn hand_out(
    tx: &mut PgConnection,
    session: SessionId,
    user: UserId,
    digest: Digest,
    times: SessionTimes,
) -> Result<SignedIn, Error> {
    let row = sqlx::query!(
        r#"insert into platform.refresh_token (digest, session_id, expires_at)
         select $1, id, least(expires_at, clock_timestamp() + make_interval(secs => $3))
         from platform.session where id = $2
         returning expires_at, clock_timestamp() as "now!""#,
        &digest.0[..],
        session.0,
        times.idle_s as f64,
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(SignedIn {
        session,
        user,
        expires_at: row.expires_at,
        now: row.now,
    })
}

/// Why a session ends, in its row and in the audit.
pub(super) struct End {
    pub(super) reason: &'static str,
    pub(super) kind: &'static str,
}

pub(super) const SIGNED_OUT: End = End {
    reason: "signed_out",
    kind: "access.signed_out",
};

/// Ends one session that is open and belongs to this person; says whether there was one.
pub(super) async fn end(
    tx: &mut PgConnection,
    session: SessionId,
    user: UserId,
    why: &End,
    by: &FlowActor,
) -> Result<bool, Error> {
    let ended = sqlx::query!(
        "update platform.session set ended_at = clock_timestamp(), end_reason = $3
         where id = $1 and user_id = $2 and ended_at is null",
        session.0,
        user.0,
        why.reason,
    )
    .execute(&mut *tx)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(false);
    }
    let data = json!({ "session": session });
    audit::about_user(tx, user, why.kind, by, data).await?;
    Ok(true)
}

/// Ends all sessions of this person; says how many.
pub(super) async fn end_all(tx: &mut PgConnection, user: UserId, reason: &str) -> Result<i64, Error> {
    let ended = sqlx::query!(
        "update platform.session set ended_at = clock_timestamp(), end_reason = $2
         where user_id = $1 and ended_at is null and expires_at > clock_timestamp()",
        user.0,
        reason,
    )
    .execute(&mut *tx)
    .await?;
    Ok(ended.rows_affected() as i64)
}
