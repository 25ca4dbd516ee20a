//! What the adapter's tests don't reach: labels, webhooks, the state file, the page for people.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use bytes::Bytes;
use domain::Secret;
use hmac::{Hmac, Mac as _};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Builder, Simulator};

const REPOSITORY: &str = "Codertocat/Hello-World";

fn world() -> Builder {
    Simulator::builder()
        .repository(REPOSITORY)
        .person("ann", "anns-token")
        .collaborator(REPOSITORY, "ann", "triage")
}

async fn started(builder: Builder) -> Simulator {
    let github = builder.start().await.unwrap();
    github
        .add_issue(REPOSITORY, 1, "Spelling <b>error</b>", "It says comit.", &[])
        .unwrap();
    github
}

async fn label(github: &Simulator, token: &str, label: &str) -> (StatusCode, Value) {
    let url = format!("{}/repos/{REPOSITORY}/issues/1/labels", github.url());
    let sent = Client::new()
        .post(url)
        .bearer_auth(token)
        .header("user-agent", "test")
        .json(&json!({ "labels": [label] }))
        .send()
        .await
        .unwrap();
    (sent.status(), sent.json().await.unwrap())
}

#[tokio::test]
async fn labels_are_for_those_who_may() {
    let github = started(world().person("eve", "eves-token")).await;
    let (status, labels) = label(&github, "anns-token", "run:dev").await;
    assert_eq!((status, &labels[0]["name"]), (StatusCode::OK, &json!("run:dev")));
    let (status, answer) = label(&github, "eves-token", "run:qa").await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
    assert_eq!(
        label(&github, "no-token", "run:qa").await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(github.labels(REPOSITORY, 1), ["run:dev"]);
    let url = format!("{}/repos/{REPOSITORY}/issues/1/labels/run:dev", github.url());
    for expected in [StatusCode::OK, StatusCode::NOT_FOUND] {
        let gone = Client::new()
            .delete(&url)
            .bearer_auth("anns-token")
            .header("user-agent", "test")
            .send();
        assert_eq!(gone.await.unwrap().status(), expected);
    }
    assert!(github.labels(REPOSITORY, 1).is_empty());
}

type Received = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// An address that keeps what it is sent.
async fn receiver() -> (String, Received) {
    let received = Received::default();
    let keep = |State(received): State<Received>, headers: HeaderMap, body: Bytes| async move {
        received.lock().unwrap().push((headers, body));
    };
    let router = axum::Router::new()
        .fallback(keep)
        .with_state(Arc::clone(&received));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, received)
}

#[tokio::test]
async fn a_new_label_is_told_signed_and_whole() {
    let (url, received) = receiver().await;
    let github = started(world().webhook(&url, Secret::new("hush".into()))).await;
    label(&github, "anns-token", "run:dev").await;
    label(&github, "anns-token", "run:dev").await;
    for _ in 0..500 {
        if !received.lock().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // A label that was there already is no event, and would have come by now.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let deliveries = received.lock().unwrap().clone();
    assert_eq!(deliveries.len(), 1);
    let (headers, body) = &deliveries[0];
    assert_eq!(headers["x-github-event"], "issues");
    let id = headers["x-github-delivery"].to_str().unwrap();
    assert_eq!((id.len(), id.matches('-').count()), (36, 4), "{id}");
    let mut mac = Hmac::<Sha256>::new_from_slice(b"hush").unwrap();
    mac.update(body);
    let expected = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    assert_eq!(headers["x-hub-signature-256"], expected);
    let payload: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(payload["action"], "labeled");
    assert_eq!(
        (&payload["label"]["name"], &payload["sender"]["login"]),
        (&json!("run:dev"), &json!("ann"))
    );
    let event = domain::event::Event::from_github("issues", body).unwrap();
    assert!(
        matches!(event, domain::event::Event::IssueLabeled { issue: 1, .. }),
        "{event:?}"
    );
}

#[tokio::test]
async fn the_world_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("github.json");
    let github = started(world().state_file(&file)).await;
    let id = github.add_comment(REPOSITORY, 1, "ann", "hello").unwrap();
    drop(github);
    let github = world().state_file(&file).start().await.unwrap();
    let comments = github.comments(REPOSITORY, 1);
    assert_eq!((comments.len(), comments[0].id), (1, id));
    assert!(
        github.add_comment(REPOSITORY, 1, "ann", "again").unwrap() > id,
        "an identifier was given twice"
    );
    std::fs::write(&file, "{").unwrap();
    let error = world().state_file(&file).start().await.err().unwrap();
    assert!(error.to_string().contains("remove it to begin anew"), "{error}");
}

#[tokio::test]
async fn a_person_sees_the_issue_and_no_html_of_strangers() {
    let github = started(world()).await;
    github
        .add_comment(
            REPOSITORY,
            1,
            "ann",
            "<!-- codex-k8s run:1 -->\nRun 1 <script>x</script>",
        )
        .unwrap();
    let page = reqwest::get(github.issue_url(REPOSITORY, 1))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        page.contains("Spelling &lt;b&gt;error") && page.contains("Run 1 &lt;script&gt;"),
        "{page}"
    );
    assert!(
        !page.contains("codex-k8s run:1") && !page.contains("<script"),
        "{page}"
    );
    let missing = reqwest::get(github.issue_url(REPOSITORY, 2)).await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}
