//! The keys that access tokens are signed with.

use anyhow::{Result, ensure};
use domain::Secret;
use domain::access::NewSigningKey;
use domain::port::access::SigningKeys;

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
