//! Signing in through the simulated GitHub's page, over a socket.
#![expect(clippy::unwrap_used, reason = "a test that can't be set up fails")]

use domain::Secret;
use domain::port::PortError;
use domain::port::access::IdentityProvider;
use github::{GithubIdentity, IdentitySettings};
use http::Method;
use testkit::github::{Fault, Simulator};
use url::Url;

const BACK: &str = "https://codex.test/api/v1/auth/github/callback";
/// From RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn simulator() -> Simulator {
    Simulator::builder()
        .oauth_app("an-app", "its secret", BACK)
        .signs_in(
            "Ann",
            "may <b>all</b>",
            &[("Ann@Example.com", true), ("other@example.com", false)],
        )
        .start()
        .await
        .unwrap()
}

fn provider(github: &Simulator, client_secret: &str) -> GithubIdentity {
    let url: Url = github.url().parse().unwrap();
    GithubIdentity::new(IdentitySettings {
        web_url: url.clone(),
        api_url: url,
        client_id: "an-app".to_owned(),
        client_secret: Secret::new(client_secret.to_owned()),
    })
    .unwrap()
}

/// What the browser is sent back with.
async fn choose(provider: &GithubIdentity, login: &str) -> Url {
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let mut page: Url = provider
        .authorize_url("the state", CHALLENGE, BACK)
        .parse()
        .unwrap();
    let shown = browser
        .get(page.clone())
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(shown.contains("may &lt;b&gt;all&lt;/b&gt;"), "{shown}");
    let mut form: Vec<(String, String)> = page.query_pairs().into_owned().collect();
    form.push(("login".to_owned(), login.to_owned()));
    page.set_query(None);
    let answer = browser.post(page).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    answer.headers()["location"].to_str().unwrap().parse().unwrap()
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

#[tokio::test]
async fn a_hiccup_of_github_keeps_nobody_from_signing_in() {
    let github = simulator().await;
    let provider = provider(&github, "its secret");
    for (fault, is_known) in [(Fault::Status(502), true), (Fault::LoseAnswer, false)] {
        let code = secret(&parameter(&choose(&provider, "Ann").await, "code").unwrap());
        github.inject(Method::POST, "/login/oauth/access_token", 1, fault);
        let who = provider.identity(&code, &secret(VERIFIER), BACK).await.unwrap();
        assert_eq!(who.is_some(), is_known, "{fault:?}");
    }
    // What lasts is said.
    github.inject(Method::POST, "/login/oauth/access_token", 9, Fault::Status(502));
    let code = secret("any");
    let error = provider
        .identity(&code, &secret(VERIFIER), BACK)
        .await
        .unwrap_err();
    assert!(matches!(error, PortError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn a_code_tells_who_it_is_once_and_only_with_its_verifier() {
    let github = simulator().await;
    let provider = provider(&github, "its secret");
    let back = choose(&provider, "Ann").await;
    assert_eq!(parameter(&back, "state").as_deref(), Some("the state"));
    let code = secret(&parameter(&back, "code").unwrap());
    let who = provider
        .identity(&code, &secret(VERIFIER), BACK)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(who.login, "Ann");
    assert!(who.github_id > 0);
    let emails: Vec<&str> = who
        .verified_emails
        .iter()
        .map(domain::access::Email::as_str)
        .collect();
    assert_eq!(emails, ["ann@example.com"], "only what GitHub has verified");
    assert_eq!(
        provider.identity(&code, &secret(VERIFIER), BACK).await.unwrap(),
        None,
        "used twice"
    );

    let code = secret(&parameter(&choose(&provider, "Ann").await, "code").unwrap());
    let stolen = provider
        .identity(&code, &secret("another verifier"), BACK)
        .await
        .unwrap();
    assert_eq!(stolen, None);
    let denied = choose(&provider, "").await;
    assert_eq!(parameter(&denied, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&denied, "code"), None);
}

#[tokio::test]
async fn a_wrong_client_secret_is_said_and_not_shown() {
    let github = simulator().await;
    let good = provider(&github, "its secret");
    let code = secret(&parameter(&choose(&good, "Ann").await, "code").unwrap());
    let wrong = provider(&github, "hunter2");
    let error = wrong.identity(&code, &secret(VERIFIER), BACK).await.unwrap_err();
    assert!(matches!(error, PortError::Refused { .. }), "{error}");
    let said = error.to_string();
    assert!(
        said.contains("incorrect_client_credentials") && !said.contains("hunter2"),
        "{said}"
    );
}
