//! Who asks, read anew at each request.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::access::{Digest, Principal, Scope, Via};
use domain::id::{ProjectId, SessionId, TokenId, UserId};
use domain::port::PortError;
use domain::port::access::Principals;

use crate::Store;
use crate::error::{Error, db};

/// The person's part of either query.
struct Person {
    id: i64,
    email: String,
    role: String,
    projects: Vec<i64>,
    roles: Vec<String>,
}

#[async_trait]
impl Principals for Store {
    async fn by_session(
        &self,
        session: SessionId,
        token_expires_at: DateTime<Utc>,
    ) -> Result<Option<Principal>, PortError> {
        let row = sqlx::query_as!(
            Person,
            r#"select u.id, u.email, u.role,
                array(select project_id from platform.project_member where user_id = u.id order by 1)
                    as "projects!",
                array(select role from platform.project_member where user_id = u.id order by project_id)
                    as "roles!"
             from platform.session s join platform.user_account u on u.id = s.user_id
             where s.id = $1 and s.ended_at is null and s.expires_at > clock_timestamp()
                and u.active and $2 > clock_timestamp()"#,
            session.0,
            token_expires_at,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(db)?;
        row.map(|person| person.with(Via::Session(session)).map_err(db))
            .transpose()
    }

    async fn by_token(&self, token: Digest) -> Result<Option<Principal>, PortError> {
        // Noted by the minute: a program that asks all the time doesn't write all the time.
        let row = sqlx::query!(
            r#"with found as (
                select t.id, t.scopes, t.last_used_at, t.user_id
                from platform.api_token t
                where t.digest = $1 and t.revoked_at is null and t.expires_at > clock_timestamp()
            ), noted as (
                update platform.api_token set last_used_at = clock_timestamp()
                where id = (select id from found where last_used_at is null
                    or last_used_at < clock_timestamp() - interval '1 minute')
            )
            select t.id as token, t.scopes, u.id, u.email, u.role,
                array(select project_id from platform.project_member where user_id = u.id order by 1)
                    as "projects!",
                array(select role from platform.project_member where user_id = u.id order by project_id)
                    as "roles!"
            from found t join platform.user_account u on u.id = t.user_id where u.active"#,
            &token.0[..],
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(db)?;
        let Some(row) = row else { return Ok(None) };
        let person = Person {
            id: row.id,
            email: row.email,
            role: row.role,
            projects: row.projects,
            roles: row.roles,
        };
        let via = Via::Token {
            id: TokenId(row.token),
            scopes: scopes(&row.scopes).map_err(db)?,
        };
        person.with(via).map(Some).map_err(db)
    }

    async fn standing(&self, known: &[Via]) -> Result<Vec<Option<Principal>>, PortError> {
        let session = |via: &Via| match via {
            Via::Session(id) => Some(id.0),
            _ => None,
        };
        let token = |via: &Via| match via {
            Via::Token { id, .. } => Some(id.0),
            _ => None,
        };
        let sessions: Vec<Option<i64>> = known.iter().map(session).collect();
        let tokens: Vec<Option<i64>> = known.iter().map(token).collect();
        let rows = sqlx::query!(
            r#"select w.place as "place!", coalesce(t.scopes, '{}') as "scopes!", u.id, u.email, u.role,
                array(select project_id from platform.project_member where user_id = u.id order by 1)
                    as "projects!",
                array(select role from platform.project_member where user_id = u.id order by project_id)
                    as "roles!"
             from unnest($1::bigint[], $2::bigint[]) with ordinality as w (session_id, token_id, place)
             left join platform.session s
                on s.id = w.session_id and s.ended_at is null and s.expires_at > clock_timestamp()
             left join platform.api_token t
                on t.id = w.token_id and t.revoked_at is null and t.expires_at > clock_timestamp()
             join platform.user_account u on u.id = coalesce(s.user_id, t.user_id) and u.active"#,
            &sessions as &[Option<i64>],
            &tokens as &[Option<i64>],
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        let development = |via: &Via| (*via == Via::Development).then(Principal::development);
        let mut standing: Vec<Option<Principal>> = known.iter().map(development).collect();
        for row in rows {
            let place = usize::try_from(row.place - 1).unwrap_or(usize::MAX);
            let (Some(via), Some(standing)) = (known.get(place), standing.get_mut(place)) else {
                continue;
            };
            let via = match via {
                Via::Token { id, .. } => Via::Token {
                    id: *id,
                    scopes: scopes(&row.scopes).map_err(db)?,
                },
                via => via.clone(),
            };
            let person = Person {
                id: row.id,
                email: row.email,
                role: row.role,
                projects: row.projects,
                roles: row.roles,
            };
            *standing = Some(person.with(via).map_err(db)?);
        }
        Ok(standing)
    }
}

impl Person {
    fn with(self, via: Via) -> Result<Principal, Error> {
        let mut memberships = Vec::with_capacity(self.projects.len());
        for (project, role) in self.projects.into_iter().zip(self.roles) {
            memberships.push((ProjectId(project), named(&role)?));
        }
        Ok(Principal {
            user: Some(UserId(self.id)),
            name: self.email,
            role: named(&self.role)?,
            memberships,
            via,
        })
    }
}

/// A role or scope as it was stored.
pub(super) fn named<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|e: T::Err| Error::Unreadable(e.to_string()))
}

pub(super) fn scopes(names: &[String]) -> Result<Vec<Scope>, Error> {
    names.iter().map(|name| named(name)).collect()
}
