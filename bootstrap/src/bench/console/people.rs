//! Who asks: people of the filled database, each with a personal token.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::access::{Digest, NewApiToken, Scope};
use domain::flow::FlowActor;
use domain::port::access::OwnAccess;
use postgres::Store;
use sha2::{Digest as _, Sha256};

/// Live streams of one person: as many as a gateway lets them have.
const STREAMS: u16 = 20;

/// Personal tokens.
pub(super) struct People {
    /// Of one who may see everything.
    pub(super) staff: String,
    /// Of a member of a project in which much happens.
    pub(super) member: String,
    /// Of a member of a project in which nothing happens.
    pub(super) idle: String,
    /// For so many streams, each for twenty of them.
    pub(super) listeners: Vec<String>,
}

impl People {
    /// Makes them tokens.
    pub(super) async fn sign_in(store: &Store, streams: u16) -> Result<Self> {
        let mut listeners = Vec::new();
        for nth in 0..streams.div_ceil(STREAMS) {
            listeners.push(token(store, 10 + nth).await?);
        }
        Ok(Self {
            staff: token(store, 1).await?,
            member: token(store, 2).await?,
            idle: token(store, 3).await?,
            listeners,
        })
    }

    /// Whose stream the `nth` one is.
    pub(super) fn listener(&self, nth: u16) -> &str {
        self.listeners
            .get(usize::from(nth / STREAMS))
            .map_or(&self.staff, |token| token)
    }
}

async fn token(store: &Store, nth: u16) -> Result<String> {
    let email = format!("person-{nth:04}@bench.example");
    let person = store.bench_person(&email).await?;
    let person = person.with_context(|| format!("{email} isn't in the database"))?;
    let text = format!("ck8s_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
    let token = NewApiToken {
        name: "bench".to_owned(),
        scopes: vec![Scope::Read, Scope::Admin],
        days: 1,
        digest: Digest(Sha256::digest(&text).into()),
    };
    store
        .create_token(person, token, &FlowActor::Human(email))
        .await?;
    Ok(text)
}
