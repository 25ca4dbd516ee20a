//! Keys that access tokens are signed with; the private part is sealed.

use async_trait::async_trait;
use domain::Secret;
use domain::access::{NewSigningKey, SigningKey};
use domain::flow::FlowActor;
use domain::port::PortError;
use domain::port::access::SigningKeys;
use serde_json::json;

use super::audit;
use crate::Store;
use crate::error::{Error, db, refused};
use crate::keyring::{Keyring, Sealed};

fn row_name(id: &str) -> String {
    format!("platform.signing_key/{id}")
}

impl Store {
    pub(crate) fn keyring(&self) -> Result<&Keyring, PortError> {
        self.keyring
            .as_deref()
            .ok_or_else(|| refused("no encryption key is configured, so that secrets can't be stored"))
    }
}

#[async_trait]
impl SigningKeys for Store {
    async fn list(&self) -> Result<Vec<SigningKey>, PortError> {
        let keyring = self.keyring()?;
        let rows = sqlx::query!(
            r#"select id, public_key, sealed_private, sealed_with, signs_from <= clock_timestamp() as "signs!"
             from platform.signing_key where retires_at is null or retires_at > clock_timestamp()
             order by signs_from <= clock_timestamp() desc, signs_from desc, id"#,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(db)?;
        let mut keys = Vec::with_capacity(rows.len());
        for row in rows {
            let unreadable = || {
                db(Error::Unreadable(format!(
                    "the signing key {} isn't of 32 bytes",
                    row.id
                )))
            };
            let sealed = Sealed {
                with: row.sealed_with,
                bytes: row.sealed_private,
            };
            let seed = keyring.open(&row_name(&row.id), &sealed)?;
            let seed = seed.expose().as_slice().try_into().map_err(|_| unreadable())?;
            let public = row.public_key.as_slice().try_into().map_err(|_| unreadable())?;
            keys.push(SigningKey {
                key: NewSigningKey {
                    id: row.id,
                    seed: Secret::new(seed),
                    public,
                },
                signs: row.signs,
            });
        }
        Ok(keys)
    }

    async fn add(&self, key: NewSigningKey, rotate_after_s: i64, overlap_s: i64) -> Result<bool, PortError> {
        let sealed = self.keyring()?.seal(&row_name(&key.id), key.seed.expose())?;
        let mut tx = self.pool.begin().await.map_err(db)?;
        sqlx::query!(
            r#"select 1 as "locked!" from pg_advisory_xact_lock(hashtextextended('platform.signing_key', 0))"#
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(db)?;
        let known = sqlx::query!(
            r#"select count(*) as "keys!",
                coalesce(bool_or(created_at > clock_timestamp() - make_interval(secs => $1)), false) as "fresh!"
             from platform.signing_key"#,
            rotate_after_s as f64,
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(db)?;
        if known.fresh {
            return Ok(false);
        }
        let wait_s = if known.keys == 0 { 0 } else { overlap_s };
        sqlx::query!(
            "with older as (
                update platform.signing_key
                set retires_at = clock_timestamp() + make_interval(secs => $5) + make_interval(secs => $6)
                where retires_at is null
            ), gone as (
                delete from platform.signing_key where retires_at < clock_timestamp()
            )
            insert into platform.signing_key (id, public_key, sealed_private, sealed_with, signs_from)
            values ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))",
            key.id,
            &key.public[..],
            sealed.bytes,
            sealed.with,
            wait_s as f64,
            overlap_s as f64,
        )
        .execute(&mut *tx)
        .await
        .map_err(db)?;
        let data = json!({ "key": key.id, "sealed_with": sealed.with });
        audit::about(
            &mut tx,
            "signing-keys",
            "access.signing_key_added",
            &FlowActor::System,
            data,
        )
        .await
        .map_err(db)?;
        tx.commit().await.map_err(db)?;
        Ok(true)
    }
}
