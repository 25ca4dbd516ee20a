//! Watches: from a version on, with bookmarks, and the end of the history.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, pin_mut};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;

use crate::stage::{Stage, config_map, name, resource_version, typed};

fn labelled(name: &str, colour: &str) -> ConfigMap {
    typed(json!({ "metadata": { "name": name, "labels": { "colour": colour } } }))
}

/// What a watch says until it has said this many events; not of the cluster's own object.
async fn events(maps: &Api<ConfigMap>, params: &WatchParams, from: &str, count: usize) -> Vec<String> {
    let stream = maps.watch(params, from).await.unwrap();
    pin_mut!(stream);
    let mut seen = Vec::new();
    while seen.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(30), stream.try_next()).await;
        match next
            .expect("the watch is silent")
            .unwrap()
            .expect("the watch ended")
        {
            WatchEvent::Added(map) | WatchEvent::Modified(map) if name(&map) == "kube-root-ca.crt" => {}
            WatchEvent::Added(map) => seen.push(format!("added {}", name(&map))),
            WatchEvent::Modified(map) => seen.push(format!("modified {}", name(&map))),
            WatchEvent::Deleted(map) => seen.push(format!("deleted {}", name(&map))),
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => seen.push(format!("error {}", status.code)),
        }
    }
    seen
}

#[tokio::test]
async fn a_watch_continues_after_a_version() {
    let stage = Stage::set("watch").await;
    let maps: Api<ConfigMap> = stage.api();
    let before = maps
        .create(&PostParams::default(), &config_map("before", "1"))
        .await
        .unwrap();
    maps.create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let patch = Patch::Merge(json!({ "data": { "key": "2" } }));
    maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let params = WatchParams::default().timeout(30);
    let seen = events(&maps, &params, &resource_version(&before), 3).await;
    assert_eq!(seen, ["added a", "modified a", "deleted a"]);

    // From a list on, nothing is missed and nothing is told twice.
    let list = maps.list(&ListParams::default()).await.unwrap();
    maps.create(&PostParams::default(), &config_map("b", "1"))
        .await
        .unwrap();
    let seen = events(&maps, &params, &list.metadata.resource_version.unwrap(), 1).await;
    assert_eq!(seen, ["added b"]);
    stage.clear().await;
}

#[tokio::test]
async fn entering_and_leaving_a_selection() {
    let stage = Stage::set("watch").await;
    let maps: Api<ConfigMap> = stage.api();
    let start = maps
        .create(&PostParams::default(), &labelled("a", "blue"))
        .await
        .unwrap();
    for colour in ["red", "red", "blue"] {
        let patch =
            Patch::Merge(json!({ "metadata": { "labels": { "colour": colour } }, "data": { "c": colour } }));
        maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
        let patch = Patch::Merge(json!({ "data": { "again": colour } }));
        maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    }
    let params = WatchParams::default().labels("colour=red").timeout(30);
    let seen = events(&maps, &params, &resource_version(&start), 3).await;
    assert_eq!(seen, ["added a", "modified a", "deleted a"]);
    stage.clear().await;
}

#[tokio::test]
async fn bookmarks_move_the_version_on() {
    let stage = Stage::set("watch").await;
    let maps: Api<ConfigMap> = stage.api();
    let start = maps
        .create(&PostParams::default(), &labelled("a", "red"))
        .await
        .unwrap();
    let other = maps
        .create(&PostParams::default(), &labelled("b", "blue"))
        .await
        .unwrap();
    // A watch that is about to end says how far it has come.
    let params = WatchParams::default().labels("colour=red").timeout(10);
    let stream = maps.watch(&params, &resource_version(&start)).await.unwrap();
    let events: Vec<_> = stream.filter_map(|event| async { event.ok() }).collect().await;
    let bookmark = events.iter().rev().find_map(|event| match event {
        WatchEvent::Bookmark(bookmark) => Some(bookmark.metadata.resource_version.clone()),
        _ => None,
    });
    let bookmark: u64 = bookmark.expect("no bookmark").parse().unwrap();
    assert!(bookmark >= resource_version(&other).parse().unwrap());
    stage.clear().await;
}

#[tokio::test]
async fn a_watch_can_begin_with_the_list() {
    let stage = Stage::set("watch").await;
    let maps: Api<ConfigMap> = stage.api();
    maps.create(&PostParams::default(), &labelled("a", "red"))
        .await
        .unwrap();
    let params = WatchParams::default()
        .labels("colour=red")
        .initial_events()
        .timeout(20);
    let stream = maps.watch(&params, "").await.unwrap();
    pin_mut!(stream);
    let Some(WatchEvent::Added(first)) = stream.try_next().await.unwrap() else {
        panic!("no object first")
    };
    assert_eq!(name(&first), "a");
    let Some(WatchEvent::Bookmark(end)) = stream.try_next().await.unwrap() else {
        panic!("no bookmark after it")
    };
    assert_eq!(end.metadata.annotations["k8s.io/initial-events-end"], "true");
    stage.clear().await;
}

#[tokio::test]
async fn a_version_that_is_too_old_is_gone() {
    let stage = Stage::set("watch").await;
    let maps: Api<ConfigMap> = stage.api();
    let start = maps
        .create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    // A real cluster has forgotten the first version long ago; the simulator is told to forget.
    let from = if let Some(simulator) = &stage.simulator {
        maps.create(&PostParams::default(), &config_map("b", "1"))
            .await
            .unwrap();
        simulator.compact();
        resource_version(&start)
    } else {
        "1".to_owned()
    };
    let stream = maps.watch(&WatchParams::default().timeout(10), &from).await;
    let code = match stream {
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
        Ok(stream) => {
            pin_mut!(stream);
            match stream.try_next().await {
                Ok(Some(WatchEvent::Error(status))) => status.code,
                Ok(Some(_)) if stage.simulator.is_none() => {
                    println!("skipped: this cluster is so young that it still has its whole history");
                    return stage.clear().await;
                }
                other => panic!("not an error: {other:?}"),
            }
        }
    };
    assert_eq!(code, 410);
    // A new list goes on.
    let list = maps.list(&ListParams::default()).await.unwrap();
    let version = list.metadata.resource_version.unwrap();
    maps.create(&PostParams::default(), &config_map("c", "1"))
        .await
        .unwrap();
    assert_eq!(
        events(&maps, &WatchParams::default().timeout(30), &version, 1).await,
        ["added c"]
    );
    stage.clear().await;
}

#[tokio::test]
async fn a_watch_ends_in_time() {
    let stage = Stage::set("watch").await;
    let maps: Api<ConfigMap> = stage.api();
    let stream = maps.watch(&WatchParams::default().timeout(1), "0").await.unwrap();
    let all = tokio::time::timeout(Duration::from_secs(20), stream.collect::<Vec<_>>()).await;
    assert!(all.is_ok(), "the watch goes on");
    stage.clear().await;
}
