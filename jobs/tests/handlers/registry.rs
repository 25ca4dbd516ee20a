//! The registry knows every kind that the domain has arguments for, and no other.

use std::collections::BTreeSet;

#[test]
fn every_kind_has_its_handler() {
    let source = include_str!("../../../domain/src/job.rs");
    let declared: BTreeSet<&str> = source
        .lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("const KIND: &'static str = \"")?
                .strip_suffix("\";")
        })
        .collect();
    assert!(declared.contains("github.delivery"), "{declared:?}");
    let known: BTreeSet<&str> = jobs::registry().names().collect();
    assert_eq!(known, declared);
}

#[test]
fn every_kind_has_a_queue_that_workers_serve() {
    use domain::job::{GithubDelivery, IssueComment, JobArgs, RunObserve, RunReport, RunStart};
    let queues = [
        GithubDelivery::QUEUE,
        IssueComment::QUEUE,
        RunObserve::QUEUE,
        RunReport::QUEUE,
        RunStart::QUEUE,
    ];
    assert_eq!(queues.len(), jobs::registry().names().count());
    for queue in queues {
        assert!(jobs::Worker::QUEUES.contains(&queue), "{queue}");
    }
}
