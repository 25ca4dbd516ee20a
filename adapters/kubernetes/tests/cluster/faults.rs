//! What a cluster in trouble leads to. Only on the simulator: nobody wants this done to a real one.

use std::time::{Duration, Instant};

use domain::Secret;
use domain::port::{Cluster as _, PortError};
use domain::workload::Observation;
use kubernetes::{Access, KubeCluster};

use crate::place::{simulated, workload};

fn is_unavailable<T: std::fmt::Debug>(result: &Result<T, PortError>) -> bool {
    matches!(
        result,
        Err(PortError::Unavailable {
            part: "kubernetes",
            ..
        })
    )
}

#[tokio::test]
async fn an_overloaded_server_is_unavailable_and_a_later_launch_goes_through() {
    let (place, workload) = (simulated().await, workload("exit 0"));
    for code in [429, 500, 503] {
        place.simulator.as_ref().unwrap().fail_requests(code, 1);
        let result = place.cluster.launch(&workload).await;
        assert!(is_unavailable(&result), "{code}: {result:?}");
    }
    place.cluster.launch(&workload).await.unwrap();
    assert_eq!(
        place.until_ended(&workload).await,
        Observation::Exited { code: 0 }
    );
}

#[tokio::test]
async fn a_slow_server_is_unavailable_in_time() {
    let (place, workload) = (simulated().await, workload("exit 0"));
    let cluster = place
        .cluster
        .clone()
        .with_request_timeout(Duration::from_millis(200));
    place
        .simulator
        .as_ref()
        .unwrap()
        .delay_requests(Duration::from_secs(20));
    let begun = Instant::now();
    let result = cluster.observe(&workload.namespace, &workload.job_name).await;
    assert!(is_unavailable(&result), "{result:?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn nobody_listening_and_a_wrong_token_are_unavailable() {
    let (place, workload) = (simulated().await, workload("exit 0"));
    let url = place.simulator.as_ref().unwrap().url();
    for (url, token) in [("http://127.0.0.1:1".to_owned(), "x"), (url, "wrong")] {
        let access = Access::Token {
            url,
            token: Secret::new(token.to_owned()),
        };
        let cluster = KubeCluster::connect(&access).await.unwrap();
        let result = cluster.observe(&workload.namespace, &workload.job_name).await;
        assert!(is_unavailable(&result), "{result:?}");
        let ended = tokio::time::timeout(Duration::from_secs(5), cluster.watch(&|_| {}))
            .await
            .unwrap();
        assert!(is_unavailable(&ended), "{ended:?}");
    }
}

#[tokio::test]
async fn a_watch_on_a_server_that_goes_away_ends_with_an_error() {
    let mut place = simulated().await;
    let simulator = place.simulator.take().unwrap();
    let cluster = place.cluster.clone();
    let watching = tokio::spawn(async move { cluster.watch(&|_| {}).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    simulator.stop().await;
    let ended = tokio::time::timeout(Duration::from_secs(10), watching)
        .await
        .unwrap()
        .unwrap();
    assert!(is_unavailable(&ended), "{ended:?}");
}

#[tokio::test]
async fn access_that_makes_no_sense_is_refused() {
    let missing = Access::Kubeconfig("/does/not/exist".into());
    let error = KubeCluster::connect(&missing).await.err().unwrap();
    assert!(error.to_string().contains("/does/not/exist"), "{error}");
    let url = Access::Token {
        url: "no address".into(),
        token: Secret::new("x".into()),
    };
    assert!(
        KubeCluster::connect(&url)
            .await
            .err()
            .unwrap()
            .to_string()
            .contains("no address")
    );
}
