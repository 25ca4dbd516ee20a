//! The suites of [`domain::port::access`].

mod principals;
mod sign_ins;
mod signing_keys;
mod user_desk;

use domain::Precondition;
use domain::access::{Digest, Email, Identity, NewSignIn, SessionTimes};
use domain::flow::FlowActor;

pub use principals::principals;
pub use sign_ins::sign_ins;
pub use signing_keys::signing_keys;
pub use user_desk::user_desk;

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
