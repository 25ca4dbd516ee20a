//! A forge that says who people are, by codes that the test gives out.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use domain::Secret;
use domain::access::Identity;
use domain::port::PortError;
use domain::port::access::IdentityProvider;

/// Who comes back with which code.
#[derive(Debug, Default)]
pub struct FakeIdentityProvider {
    people: Mutex<BTreeMap<String, Identity>>,
}

impl FakeIdentityProvider {
    /// The browser that comes back with this code is this person; once.
    pub fn expect(&self, code: &str, identity: Identity) {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        people.insert(code.to_owned(), identity);
    }
}

#[async_trait]
impl IdentityProvider for FakeIdentityProvider {
    fn authorize_url(&self, state: &str, challenge: &str, redirect_uri: &str) -> String {
        format!(
            "https://forge.test/authorize?state={state}&challenge={challenge}&redirect_uri={redirect_uri}"
        )
    }

    async fn identity(
        &self,
        code: &Secret<String>,
        _: &Secret<String>,
        _: &str,
    ) -> Result<Option<Identity>, PortError> {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(people.remove(code.expose()))
    }
}
