//! The first walk of the README, with the program itself: `dev`, a webhook, a finished run, the end.
//!
//! With `CODEX_K8S_TEST_KUBECONFIG` the run goes to that cluster instead of the simulated one: it needs a node
//! that runs pods and can pull `CODEX_K8S_TEST_IMAGE` (busybox:1.37 if not said). Its namespace stays behind.

#![allow(clippy::unwrap_used, reason = "a test that can't go on ends")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_codex-k8s");

/// What a cluster without our image runs: it says what it was asked for, as our own agent does.
const AGENT: &str = r#"["sh", "-c", "echo repository: $CODEX_K8S_REPOSITORY"]"#;

/// The cluster to use instead of the simulated one.
fn cluster() -> Option<String> {
    std::env::var("CODEX_K8S_TEST_KUBECONFIG").ok()
}

/// An issue whose namespace an earlier test is unlikely to have left in a real cluster.
fn issue() -> String {
    let nanos = std::time::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.subsec_nanos());
    if cluster().is_some() {
        (1 + nanos / 1_000 % 100).to_string()
    } else {
        "1".to_owned()
    }
}

/// The program, with nothing configured but the data directory.
fn program(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    let ours = |name: &str| name.starts_with("CODEX_K8S_") && name != "CODEX_K8S_CACHE_DIR";
    for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    if let Some(kubeconfig) = cluster() {
        let image = std::env::var("CODEX_K8S_TEST_IMAGE");
        command
            .env("CODEX_K8S_KUBECONFIG", kubeconfig)
            .env(
                "CODEX_K8S_AGENT_IMAGE",
                image.unwrap_or_else(|_| "busybox:1.37".into()),
            )
            .env("CODEX_K8S_AGENT_COMMAND", AGENT);
    }
    command
        .env("CODEX_K8S_DATA_DIR", data_dir)
        .env("XDG_CONFIG_HOME", data_dir.join("config"))
        .args(arguments)
        .stdin(Stdio::null());
    command
}

fn output(data_dir: &Path, arguments: &[&str]) -> Output {
    program(data_dir, arguments).output().unwrap()
}

fn json(data_dir: &Path, arguments: &[&str]) -> Value {
    let output = output(data_dir, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < within, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A running `dev`; its end is asked for, and waited for, even if the test fails.
struct Dev(Child);

impl Dev {
    fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, "--empty")
    }

    fn start_with(data_dir: &Path, amount: &str) -> Self {
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let _ = std::fs::remove_file(data_dir.join("dev.json"));
        let child = program(data_dir, &["dev", amount, "--port", &port.to_string()])
            .spawn()
            .unwrap();
        let mut dev = Self(child);
        until("dev is up", Duration::from_secs(90), || {
            assert!(dev.0.try_wait().unwrap().is_none(), "dev ended");
            data_dir.join("dev.json").exists().then_some(())
        });
        dev
    }

    fn stop(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        self.0.wait().ok()?.code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.stop();
        }
    }
}

fn folder() -> tempfile::TempDir {
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    tempfile::Builder::new().permissions(open).tempdir().unwrap()
}

#[test]
fn from_a_label_to_a_finished_run_and_back_again() {
    let folder = folder();
    let data_dir = folder.path();
    let mut dev = Dev::start(data_dir);
    let issue = issue();

    let second = output(data_dir, &["dev"]);
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("another `codex-k8s dev`"), "{said}");

    let sent = output(
        data_dir,
        &[
            "webhook",
            "simulate",
            "issues.labeled",
            "--label",
            "run:dev",
            "--issue",
            &issue,
            "--delivery",
            "walk-1",
        ],
    );
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let run = until(
        "the run succeeded",
        Duration::from_secs(if cluster().is_some() { 180 } else { 30 }),
        || {
            let runs = json(data_dir, &["runs", "list", "--json"]);
            let run = runs["items"].get(0)?.clone();
            assert_ne!(run["status"], "failed", "{run}");
            (run["status"] == "succeeded").then_some(run)
        },
    );
    assert_eq!(run["correlation_id"], "walk-1");
    let id = run["id"].to_string();
    let events = json(data_dir, &["runs", "show", &id, "--json"])["events"].clone();
    let events = events.as_array().unwrap();
    assert!(
        events.iter().all(|event| event["correlation_id"] == "walk-1"),
        "{events:?}"
    );
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["kind"].as_str()).collect();
    for kind in [
        "webhook.accepted",
        "run.created",
        "namespace.prepared",
        "run.running",
        "run.succeeded",
    ] {
        assert!(kinds.contains(&kind), "{kind} is missing in {kinds:?}");
    }
    let log = output(data_dir, &["runs", "logs", &id, "--follow"]).stdout;
    assert!(String::from_utf8_lossy(&log).contains("repository: Codertocat/Hello-World"));

    // The same delivery again is a duplicate; its replay is possible.
    let again = output(
        data_dir,
        &[
            "webhook",
            "simulate",
            "issues.labeled",
            "--label",
            "run:dev",
            "--issue",
            &issue,
            "--delivery",
            "walk-1",
        ],
    );
    assert!(
        String::from_utf8_lossy(&again.stdout).starts_with("200"),
        "{again:?}"
    );
    let replay = json(
        data_dir,
        &["deliveries", "replay", "walk-1", "--dry-run", "--json"],
    );
    assert_eq!(replay["replay"], "possible");
    assert_eq!(dev.stop(), Some(0));

    // A second start knows it all.
    let mut dev = Dev::start(data_dir);
    assert_eq!(
        json(data_dir, &["runs", "list", "--json"])["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn the_first_start_has_something_to_show_and_the_second_tells_nothing_again() {
    let folder = folder();
    let data_dir = folder.path();
    if cluster().is_some() {
        return; // The demo is for the simulated one.
    }
    let mut dev = Dev::start_with(data_dir, "--quiet");
    let of = |arguments: &[&str], member: &str| -> Vec<String> {
        let listed = json(data_dir, &[arguments, &["--json", "--limit", "200"]].concat());
        let items = listed["items"].as_array().unwrap().iter();
        items
            .map(|item| item[member].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let has = |listed: &[String], all: &[&str]| {
        let there = |wanted: &&str| listed.iter().any(|one| one == wanted);
        all.iter().all(there).then_some(())
    };
    until("runs of every sort", Duration::from_mins(1), || {
        let statuses = ["succeeded", "failed", "running", "waiting_slot"];
        has(&of(&["runs", "list"], "status"), &statuses)
    });
    until("jobs in every state", Duration::from_secs(30), || {
        let states = ["completed", "dead", "cancelled", "scheduled", "ready"];
        has(&of(&["jobs", "list"], "state"), &states)
    });
    assert!(data_dir.join("demo.told").exists());
    let events = of(&["deliveries", "list"], "event");
    assert!(
        has(&events, &["push", "pull_request", "issue_comment", "issues"]).is_some(),
        "{events:?}"
    );

    // What is dead has become possible meanwhile.
    let dead = json(data_dir, &["jobs", "list", "--state", "dead", "--json"]);
    for job in dead["items"].as_array().unwrap() {
        let id = job["id"].to_string();
        assert!(output(data_dir, &["jobs", "retry", &id]).status.success());
        until("the retried job is through", Duration::from_secs(20), || {
            let state = json(data_dir, &["jobs", "show", &id, "--json"])["state"].clone();
            (state == "completed").then_some(())
        });
    }
    let deliveries = events.len();
    assert_eq!(dev.stop(), Some(0));

    let mut dev = Dev::start_with(data_dir, "--quiet");
    assert_eq!(of(&["deliveries", "list"], "event").len(), deliveries);
    assert_eq!(dev.stop(), Some(0));
}

/// `GET` of the staff API with a person's access token: the status, and the body where it is JSON.
async fn ask(url: &str, token: &str, path: &str) -> (u16, Value) {
    let request = reqwest::Client::new().get(format!("{url}/api/v1/staff/{path}"));
    let answer = request.bearer_auth(token).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

/// From our page to the simulated GitHub and back, as a browser goes it: the refresh cookie, or the refusal's status.
async fn sign_in(url: &str, login: &str) -> Result<String, u16> {
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let cookie = |answer: &reqwest::Response, name: &str| {
        let lines = answer.headers().get_all("set-cookie").into_iter();
        let mut pairs = lines.map(|line| line.to_str().unwrap().split(';').next().unwrap().to_owned());
        pairs.find(|pair| pair.contains(name)).unwrap()
    };
    let to = |answer: &reqwest::Response| -> url::Url {
        answer.headers()["location"].to_str().unwrap().parse().unwrap()
    };
    let begun = browser
        .get(format!("{url}/api/v1/auth/github"))
        .send()
        .await
        .unwrap();
    let (mut forge, kept) = (to(&begun), cookie(&begun, "sign-in"));
    let page = browser
        .get(forge.clone())
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(page.contains(&format!("value=\"{login}\"")), "{page}");
    let mut form: Vec<(String, String)> = forge.query_pairs().into_owned().collect();
    form.push(("login".to_owned(), login.to_owned()));
    forge.set_query(None);
    let chosen = browser.post(forge).form(&form).send().await.unwrap();
    let back = browser
        .get(to(&chosen))
        .header("cookie", kept)
        .send()
        .await
        .unwrap();
    if back.status() == 303 {
        Ok(cookie(&back, "refresh"))
    } else {
        Err(back.status().as_u16())
    }
}

/// The next refresh cookie and an access token.
async fn refresh(url: &str, cookie: &str) -> (String, String) {
    let request = reqwest::Client::new().post(format!("{url}/api/v1/auth/refresh"));
    let answer = request
        .header("cookie", cookie)
        .header("origin", url)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200, "{answer:?}");
    let next = answer.headers()["set-cookie"]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let body: Value = answer.json().await.unwrap();
    (next, body["access_token"].as_str().unwrap().to_owned())
}

/// `codex-k8s login`, confirmed by adam in his browser, and `logout`.
async fn log_in_and_out(data_dir: &Path, url: &str) {
    let mut login = program(data_dir, &["login", "--scopes", "read"]);
    let mut login = login.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(login.stdout.take().unwrap()));
    let code = lines.find_map(|line| Some(line.unwrap().split_once("?code=")?.1.to_owned()));
    let code = code.unwrap();
    let (_, adam) = refresh(url, &sign_in(url, "adam").await.unwrap()).await;
    let approve = format!("{url}/api/v1/staff/me/device-sign-ins/{code}/approve");
    let approved = reqwest::Client::new()
        .post(approve)
        .bearer_auth(adam)
        .send()
        .await;
    assert_eq!(approved.unwrap().status(), 204);
    assert!(login.wait().unwrap().success());

    let file = data_dir.join("config/codex-k8s/login.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let token = kept["token"].as_str().unwrap();
    let (_, me) = ask(url, token, "me").await;
    assert_eq!(me["name"], "adam@example.com");
    assert!(output(data_dir, &["jobs", "list"]).status.success());
    let retry = output(data_dir, &["jobs", "retry", "1"]);
    let said = String::from_utf8_lossy(&retry.stderr).into_owned();
    assert!(said.contains("403"), "only reading was confirmed: {said}");
    assert!(output(data_dir, &["logout"]).status.success());
    assert!(!file.exists());
    assert_eq!(ask(url, token, "me").await.0, 401);
}

#[tokio::test]
async fn people_sign_in_and_see_what_they_may_also_after_a_restart() {
    let folder = folder();
    let data_dir = folder.path();
    let mut dev = Dev::start(data_dir);
    let url = |data_dir: &Path| -> String {
        let state: Value =
            serde_json::from_slice(&std::fs::read(data_dir.join("dev.json")).unwrap()).unwrap();
        state["url"].as_str().unwrap().to_owned()
    };
    let address = url(data_dir);
    for (login, users, workers, runs) in [
        ("olga", 200, 200, 200),
        ("adam", 200, 200, 200),
        ("lea", 403, 403, 200),
        ("rita", 403, 403, 200),
    ] {
        let (_, token) = refresh(&address, &sign_in(&address, login).await.unwrap()).await;
        for (path, status) in [
            ("users", users),
            ("workers", workers),
            ("runs", runs),
            ("me", 200),
        ] {
            assert_eq!(ask(&address, &token, path).await.0, status, "{login} at {path}");
        }
    }
    assert_eq!(sign_in(&address, "eve").await, Err(403));
    log_in_and_out(data_dir, &address).await;
    let (cookie, _) = refresh(&address, &sign_in(&address, "walt").await.unwrap()).await;
    assert_eq!(dev.stop(), Some(0));

    // Sessions and the keys that tokens are signed with outlive the gateway.
    let mut dev = Dev::start(data_dir);
    let address = url(data_dir);
    let (_, token) = refresh(&address, &cookie).await;
    let (_, me) = ask(&address, &token, "me").await;
    assert_eq!(
        (&me["name"], &me["projects"][0]["role"]),
        (&"walt@example.com".into(), &"read_write".into())
    );
    let log = std::fs::read_to_string(data_dir.join("logs/gateway.log")).unwrap();
    for secret in [token.as_str(), cookie.split_once('=').unwrap().1] {
        assert!(!log.contains(secret), "a token is in the log");
    }
    assert_eq!(dev.stop(), Some(0));
}
