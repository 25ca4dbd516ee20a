//! What becomes of a run: its end, its log, its stop, the hints.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use domain::port::Cluster as _;
use domain::workload::Observation;

use crate::place::{Place, place, simulated, workload};

#[tokio::test]
async fn runs_to_its_end_with_its_log_and_is_not_run_again() {
    let Some(place) = Place::with_nodes().await else {
        return;
    };
    let workload = workload("echo \"$GREETING from $HOME\"; printf 'last'; exit 0");
    place.cluster.launch(&workload).await.unwrap();
    assert_eq!(
        place.until_ended(&workload).await,
        Observation::Exited { code: 0 }
    );
    let log = |limit| place.cluster.log(&workload.namespace, &workload.job_name, limit);
    assert_eq!(log(1_000_000).await.unwrap(), ["hello from /tmp", "last"]);
    assert_eq!(log(10).await.unwrap(), ["hello from"]);
    place.cluster.launch(&workload).await.unwrap();
    let seen = place
        .cluster
        .observe(&workload.namespace, &workload.job_name)
        .await
        .unwrap();
    assert_eq!(seen, Observation::Exited { code: 0 });
    assert_eq!(log(1_000_000).await.unwrap().len(), 2, "it ran again");
    place.tidy(&workload).await;
}

#[tokio::test]
async fn an_exit_code_comes_through() {
    let Some(place) = Place::with_nodes().await else {
        return;
    };
    let workload = workload("echo no >&2; exit 3");
    place.cluster.launch(&workload).await.unwrap();
    assert_eq!(
        place.until_ended(&workload).await,
        Observation::Exited { code: 3 }
    );
    let log = place
        .cluster
        .log(&workload.namespace, &workload.job_name, 1_000)
        .await
        .unwrap();
    assert_eq!(log, ["no"]);
    place.tidy(&workload).await;
}

#[tokio::test]
async fn a_deadline_passes() {
    let Some(place) = Place::with_nodes().await else {
        return;
    };
    let mut workload = workload("sleep 100");
    workload.deadline_s = 2;
    place.cluster.launch(&workload).await.unwrap();
    assert_eq!(place.until_ended(&workload).await, Observation::DeadlineExceeded);
    place.tidy(&workload).await;
}

#[tokio::test]
async fn is_watched_while_it_runs_and_stopped() {
    let Some(place) = Place::with_nodes().await else {
        return;
    };
    let workload = workload("printf 'one\\ntwo'; sleep 100");
    place.cluster.launch(&workload).await.unwrap();
    let running = Observation::Active {
        detail: "Running".into(),
    };
    place.until(&workload, |seen| *seen == running).await;
    let begun = Instant::now();
    loop {
        let log = place
            .cluster
            .log(&workload.namespace, &workload.job_name, 1_000)
            .await
            .unwrap();
        if log == ["one"] {
            break;
        }
        assert!(
            log.is_empty() && begun.elapsed() < Duration::from_secs(30),
            "{log:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    place
        .cluster
        .stop(&workload.namespace, &workload.job_name)
        .await
        .unwrap();
    place.until(&workload, |seen| *seen == Observation::Missing).await;
    place
        .cluster
        .stop(&workload.namespace, &workload.job_name)
        .await
        .unwrap();
    place.tidy(&workload).await;
}

#[tokio::test]
async fn what_is_not_there_is_missing_and_silent() {
    let (place, workload) = (place().await, workload("exit 0"));
    let (namespace, job) = (workload.namespace.as_str(), workload.job_name.as_str());
    assert_eq!(
        place.cluster.observe(namespace, job).await.unwrap(),
        Observation::Missing
    );
    assert!(place.cluster.log(namespace, job, 1_000).await.unwrap().is_empty());
    place.cluster.stop(namespace, job).await.unwrap();
    assert!(place.cluster.version().await.unwrap().starts_with('v'));
}

#[tokio::test]
async fn a_pod_that_finds_no_place_says_so() {
    let (place, workload) = (simulated().await, workload("exit 0"));
    place.simulator.as_ref().unwrap().hold_pods(true);
    place.cluster.launch(&workload).await.unwrap();
    let held = |seen: &Observation| matches!(seen, Observation::Active { detail } if detail.starts_with("Unschedulable"));
    place.until(&workload, held).await;
    assert!(
        place
            .cluster
            .log(&workload.namespace, &workload.job_name, 1_000)
            .await
            .unwrap()
            .is_empty()
    );
    place.simulator.as_ref().unwrap().hold_pods(false);
    assert_eq!(
        place.until_ended(&workload).await,
        Observation::Exited { code: 0 }
    );
}

#[tokio::test]
async fn changes_are_hinted_at() {
    let (place, workload) = (place().await, workload("exit 0"));
    let hints = Mutex::new(Vec::new());
    let note = |run| hints.lock().unwrap().push(run);
    let came = async {
        // Give the watch time to begin, so that the launch is a change and not what was there before.
        tokio::time::sleep(Duration::from_millis(300)).await;
        place.cluster.launch(&workload).await.unwrap();
        while !hints.lock().unwrap().contains(&workload.run) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        ended = place.cluster.watch(&note) => panic!("the watch ended: {ended:?}"),
        () = came => {}
        () = tokio::time::sleep(Duration::from_secs(30)) => panic!("no hint"),
    }
    place.tidy(&workload).await;
}
