//! The live stream on a real database: seen through two gateways within a second, and no dearer for two hundred who
//! look on than for one.

#![allow(clippy::unwrap_used, reason = "a test that can't go on ends")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use domain::Secret;
use domain::port::{Inbox, RunStore};
use domain::repository::Repository;
use domain::run::{Created, LogLine};
use futures::StreamExt;
use gateway::{AccessPorts, Gateway, Ports, Settings, StaffPorts};
use metrics_exporter_prometheus::PrometheusBuilder;
use postgres::{Options, Store};
use testkit::contract;
use testkit::postgres::TestDatabase;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

const TOKEN: &str = "a token for development";

struct World {
    store: Store,
    repository: Repository,
    database: TestDatabase,
}

impl World {
    async fn create() -> Self {
        let database = TestDatabase::create().await;
        let store = connect(&database).await;
        store.migrate().await.unwrap();
        let name = "codertocat/hello-world".parse().unwrap();
        let repository = store.seed_project("demo", 1, &name).await.unwrap();
        Self {
            store,
            repository,
            database,
        }
    }

    /// A gateway with connections of its own.
    async fn gateway(&self) -> Gateway {
        let store = Arc::new(connect(&self.database).await);
        let settings = Settings {
            staff_token: Some(Secret::new(TOKEN.to_owned())),
            streams_per_user: 500,
            ..Settings::new(vec![Secret::new("the webhook secret".to_owned())])
        };
        let ports = Ports {
            inbox: store.clone(),
            jobs: store.clone(),
            queues: store.clone(),
            schedules: store.clone(),
            runs: store.clone(),
            deliveries: store.clone(),
            staff: StaffPorts::of(store.clone()),
            changes: store.clone(),
            idempotent: store.clone(),
            access: AccessPorts::of(store),
            setup: None,
            identity: None,
        };
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        Gateway::new(settings, ports, metrics, CancellationToken::new()).unwrap()
    }

    async fn deliver(&self) -> String {
        let id = contract::fresh_delivery_id();
        self.store.accept(contract::delivery(&id, b"{}")).await.unwrap();
        id.to_string()
    }
}

async fn connect(database: &TestDatabase) -> Store {
    let options = Options {
        max_connections: 4,
        ..Options::new(Secret::new(database.url().to_owned()))
    };
    Store::connect(&options).await.unwrap()
}

struct Stream {
    body: BodyDataStream,
    text: String,
}

impl Stream {
    async fn open(gateway: &Gateway, query: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(format!("/api/v1/staff/stream{query}"))
            .header("authorization", format!("Bearer {TOKEN}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = gateway.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut stream = Self {
            body: response.into_body().into_data_stream(),
            text: String::new(),
        };
        stream.until("event: ready").await;
        stream
    }

    /// Reads until all messages so far hold this; how long that took.
    async fn until(&mut self, wanted: &str) -> Duration {
        let start = Instant::now();
        while !self.text.contains(wanted) {
            let bytes = timeout(Duration::from_secs(10), self.body.next()).await;
            let bytes = bytes.unwrap_or_else(|_| panic!("no {wanted} in {}", self.text));
            self.text
                .push_str(std::str::from_utf8(&bytes.unwrap().unwrap()).unwrap());
        }
        start.elapsed()
    }

    fn place(&self) -> String {
        let mut places = self.text.lines().filter_map(|line| line.strip_prefix("id: "));
        places.next_back().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_change_is_seen_within_a_second_through_any_gateway() {
    let world = World::create().await;
    let (one, other) = (world.gateway().await, world.gateway().await);
    let (mut first, mut second) = (
        Stream::open(&one, "", None).await,
        Stream::open(&other, "", None).await,
    );
    for _ in 0..3 {
        let id = world.deliver().await;
        let job = format!("\"correlation_id\":\"{id}\"");
        let took = first.until(&job).await + second.until(&job).await;
        assert!(took < Duration::from_secs(1), "seen after {took:?}");
    }
    let Created::New(run) = world
        .store
        .create(contract::new_run(&world.repository, 1))
        .await
        .unwrap()
    else {
        panic!("the issue was busy")
    };
    for stream in [&mut first, &mut second] {
        stream.until("\"kind\":\"run.created\"").await;
    }
    // Cut off from one gateway, on with the other.
    let place = first.place();
    drop(first);
    let missed = world.deliver().await;
    let mut third = Stream::open(&other, "", Some(&place)).await;
    third.until(&missed).await;
    assert!(third.text.contains("\"resumed\":true"), "{}", third.text);

    let mut log = Stream::open(&one, &format!("?topics=run&run={run}"), None).await;
    sleep(Duration::from_millis(600)).await;
    let line = LogLine {
        number: 1,
        text: "a line that is followed".to_owned(),
    };
    world.store.append_log(run, &[line]).await.unwrap();
    let took = log.until("a line that is followed").await;
    assert!(took < Duration::from_secs(1), "seen after {took:?}");
}

/// Counts the statements that this process sends.
struct Statements(Arc<AtomicUsize>);

impl<S: tracing::Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// On one thread, whose statements are counted and no other test's.
#[tokio::test]
async fn two_hundred_cost_the_database_no_more_than_one() {
    let count = Arc::new(AtomicUsize::new(0));
    let subscriber = tracing_subscriber::registry().with(Statements(Arc::clone(&count)));
    // Of two, `tracing` asks each what it wants to hear; were there one, the thread that comes by first, which may be
    // another test's and want nothing.
    let _other = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let _counting = tracing::subscriber::set_default(subscriber);
    let world = World::create().await;
    let gateway = world.gateway().await;
    let mut streams = vec![Stream::open(&gateway, "", None).await];
    let alone = statements(&world, &count, &mut streams).await;
    while streams.len() < 200 {
        streams.push(Stream::open(&gateway, "", None).await);
    }
    let crowded = statements(&world, &count, &mut streams).await;
    assert!(alone > 20, "{alone} statements were counted");
    assert!(
        crowded < alone * 3 / 2,
        "{alone} statements for one who looks on, {crowded} for two hundred"
    );
}

/// How many statements it takes in four seconds to tell all of five changes.
async fn statements(world: &World, count: &AtomicUsize, streams: &mut [Stream]) -> usize {
    let before = count.load(Ordering::Relaxed);
    let start = Instant::now();
    for _ in 0..5 {
        let id = world.deliver().await;
        for stream in streams.iter_mut() {
            stream.until(&id).await;
        }
    }
    sleep(Duration::from_secs(4).saturating_sub(start.elapsed())).await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(8), "it took {took:?}");
    // In so long as it took, as many as in four seconds.
    let counted = count.load(Ordering::Relaxed) - before;
    (counted as f64 * 4.0 / took.as_secs_f64()) as usize
}
