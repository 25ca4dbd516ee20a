//! Seals what is secret and has to be read back: AES-256-GCM under a key that the database doesn't have, bound by
//! the associated data to the key's name and to the row, so that a sealed value is of no use anywhere else.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::Secret;
use domain::port::PortError;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::error::refused;

/// The keys: the first seals, all of them open. Several are there while one replaces another.
pub struct Keyring {
    keys: Vec<(String, LessSafeKey)>,
    random: SystemRandom,
}

/// The text isn't a keyring. Says which part, never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyring {
    /// None at all.
    #[error("no key is given: at least one is needed, written <name>:<base64 of 32 bytes>")]
    Empty,
    /// Not as it should be.
    #[error(
        "key number {0} isn't written <name>:<base64 of 32 bytes>, with 1 to 32 of A-Z a-z 0-9 . _ - as its name; \
         make one with `openssl rand -base64 32`"
    )]
    Key(usize),
    /// Two keys of one name.
    #[error("two keys are named `{0}`")]
    Twice(String),
}

/// A value as it is stored.
pub(crate) struct Sealed {
    /// The key's name.
    pub(crate) with: String,
    /// Nonce, ciphertext, tag.
    pub(crate) bytes: Vec<u8>,
}

impl FromStr for Keyring {
    type Err = InvalidKeyring;

    /// Keys are separated by commas or line ends.
    fn from_str(text: &str) -> Result<Self, InvalidKeyring> {
        let written = text
            .split(['\n', ','])
            .map(str::trim)
            .filter(|key| !key.is_empty());
        let mut keys: Vec<(String, LessSafeKey)> = Vec::new();
        for (index, key) in written.enumerate() {
            let (name, key) = parse(key).ok_or(InvalidKeyring::Key(index + 1))?;
            if keys.iter().any(|(known, _)| *known == name) {
                return Err(InvalidKeyring::Twice(name));
            }
            keys.push((name, key));
        }
        if keys.is_empty() {
            return Err(InvalidKeyring::Empty);
        }
        Ok(Self {
            keys,
            random: SystemRandom::new(),
        })
    }
}

fn parse(text: &str) -> Option<(String, LessSafeKey)> {
    let (name, key) = text.split_once(':')?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > 32 || !name.bytes().all(allowed) {
        return None;
    }
    let key = STANDARD.decode(key).ok()?;
    let key = UnboundKey::new(&AES_256_GCM, &key).ok()?;
    Some((name.to_owned(), LessSafeKey::new(key)))
}

/// Binds to the key's name and the row: no name has a line end.
fn associated(name: &str, row: &str) -> Aad<Vec<u8>> {
    Aad::from(format!("{name}\n{row}").into_bytes())
}

impl Keyring {
    /// Seals a value for this row, `<table>/<key>`.
    pub(crate) fn seal(&self, row: &str, value: &[u8]) -> Result<Sealed, PortError> {
        let failed = || refused("a secret can't be sealed: the system gives no random bytes");
        let (name, key) = self.keys.first().ok_or_else(failed)?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| failed())?;
        let mut bytes = nonce.to_vec();
        let mut sealed = value.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, associated(name, row), &mut sealed)
            .map_err(|_| failed())?;
        bytes.extend(sealed);
        Ok(Sealed {
            with: name.clone(),
            bytes,
        })
    }

    /// Opens a value of this row.
    pub(crate) fn open(&self, row: &str, sealed: &Sealed) -> Result<Secret<Vec<u8>>, PortError> {
        let known = self.keys.iter().find(|(name, _)| *name == sealed.with);
        let Some((name, key)) = known else {
            return Err(refused(format!(
                "{row} is sealed with the key `{}`, which isn't configured",
                sealed.with
            )));
        };
        let opened = || {
            let (nonce, rest) = sealed.bytes.split_at_checked(NONCE_LEN)?;
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut rest = rest.to_vec();
            let value = key.open_in_place(nonce, associated(name, row), &mut rest).ok()?;
            Some(Secret::new(value.to_vec()))
        };
        opened().ok_or_else(|| {
            refused(format!(
                "{row} can't be opened with the key `{name}`: the key is another one than it was sealed with, or \
                 the row was tampered with"
            ))
        })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.keys.iter().map(|(name, _)| name.as_str()).collect();
        write!(f, "Keyring({})", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, byte: u8) -> String {
        format!("{name}:{}", STANDARD.encode([byte; 32]))
    }

    fn ring(text: &str) -> Keyring {
        text.parse().unwrap()
    }

    #[test]
    fn opens_only_what_and_where_it_was_sealed() {
        let old = ring(&key("2026", 1));
        let sealed = old.seal("t/1", b"hunter2").unwrap();
        assert_eq!(sealed.with, "2026");
        assert!(!sealed.bytes.windows(7).any(|w| w == b"hunter2"));
        assert_ne!(
            sealed.bytes,
            old.seal("t/1", b"hunter2").unwrap().bytes,
            "a nonce of its own"
        );
        assert_eq!(old.open("t/1", &sealed).unwrap().expose(), b"hunter2");
        let replacing = ring(&format!("{},{}", key("2027", 2), key("2026", 1)));
        assert_eq!(replacing.open("t/1", &sealed).unwrap().expose(), b"hunter2");
        assert_eq!(replacing.seal("t/1", b"x").unwrap().with, "2027");

        assert!(old.open("t/2", &sealed).is_err(), "another row");
        assert!(
            ring(&key("2026", 9)).open("t/1", &sealed).is_err(),
            "another key of that name"
        );
        let error = ring(&key("2027", 1))
            .open("t/1", &sealed)
            .unwrap_err()
            .to_string();
        assert!(error.contains("`2026`, which isn't configured"), "{error}");
        for at in 0..sealed.bytes.len() {
            let mut bytes = sealed.bytes.clone();
            bytes[at] ^= 1;
            let with = sealed.with.clone();
            assert!(old.open("t/1", &Sealed { with, bytes }).is_err(), "byte {at}");
        }
    }

    #[test]
    fn what_is_no_keyring() {
        let error = |text: &str| text.parse::<Keyring>().unwrap_err();
        assert_eq!(error(" \n,"), InvalidKeyring::Empty);
        let short = format!("a:{}", STANDARD.encode([1; 16]));
        for bad in ["hunter2", "a:hunter2", ":AAAA", "a b:AAAA", &short] {
            assert_eq!(
                error(&format!("{}\n{bad}", key("first", 1))),
                InvalidKeyring::Key(2),
                "{bad}"
            );
            assert!(!error(bad).to_string().contains("hunter2"));
        }
        let twice = format!("{},{}", key("a", 1), key("a", 2));
        assert_eq!(error(&twice), InvalidKeyring::Twice("a".to_owned()));
        let printed = format!("{:?}", ring(&key("a", 1)));
        assert_eq!(printed, "Keyring(a)");
    }
}
