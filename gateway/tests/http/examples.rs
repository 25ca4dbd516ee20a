//! Every example payload that GitHub's own packages know.

use testkit::payloads::Payloads;

use crate::client::delivery;
use crate::world::world;

#[tokio::test]
async fn each_is_taken_once() {
    let payloads = Payloads::load(&|_| ()).unwrap();
    let world = world();
    for (number, example) in payloads.all().iter().enumerate() {
        let (id, body) = (format!("d-{number}"), example.payload.to_string());
        let status = if example.event == "ping" { 200 } else { 202 };
        let first = world.ask(delivery(&id, &example.event, &body)).await;
        assert_eq!(first.status, status, "{}: {first:?}", example.event);
        let again = world.ask(delivery(&id, &example.event, &body)).await;
        assert_eq!(
            (again.status.as_u16(), &again.json()["status"]),
            (200, &"duplicate".into())
        );
        let stored = world
            .inbox
            .accepted()
            .into_iter()
            .find(|delivery| delivery.id.as_str() == id)
            .unwrap();
        assert_eq!(stored.action, example.action, "{}", example.event);
        let text = |path| {
            example
                .payload
                .pointer(path)
                .and_then(|value| value.as_str())
                .map(str::to_owned)
        };
        assert_eq!(
            stored.repository,
            text("/repository/full_name"),
            "{}",
            example.event
        );
        assert_eq!(stored.sender, text("/sender/login"), "{}", example.event);
    }
    assert!(world.inbox.accepted().len() >= 329);
}
