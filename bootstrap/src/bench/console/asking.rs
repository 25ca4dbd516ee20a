//! Asks one thing again and again, several at once, and then once to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use serde::Deserialize;
use tokio::task::JoinSet;

use super::Arguments;
use super::gateway::Gateway;
use super::questions::Question;
use super::report::{Answers, Times, Whole};

/// Lines that the console asks for.
const PAGE: usize = 100;
/// Pages of a search that are taken to its end.
const PAGES: usize = 2_000;

/// What of a list's page, or of a count, is looked at.
#[derive(Default, Deserialize)]
struct Page {
    #[serde(default)]
    items: Vec<serde_json::Value>,
    count: Option<usize>,
    #[serde(default)]
    next: Option<String>,
}

impl Page {
    fn found(&self) -> usize {
        self.items.len() + self.count.unwrap_or(0)
    }

    /// There is more, and the console asks for it by itself: the rest of a count, or something to show.
    fn goes_on(&self, found: usize) -> bool {
        self.next.is_some() && (self.count.is_some() || found < PAGE)
    }
}

/// Measures the question.
pub(super) async fn ask(gateway: &Gateway, question: &Question, arguments: &Arguments) -> Result<Answers> {
    let url = format!("{}/api/v1/staff/{}", gateway.url, question.path);
    let http = Client::builder().timeout(Duration::from_secs(30)).build()?;
    let first = answer(&http, &url, &question.token)
        .await
        .with_context(|| format!("asking {}", question.path))?;
    let bytes = first.len();
    let page: Page = serde_json::from_slice(&first).unwrap_or_default();
    let found = page.found();
    let is_short = page.goes_on(found);
    let mut times = Vec::new();
    for at_once in &arguments.concurrency {
        times.push(Times::of(
            *at_once,
            storm(&http, &url, question, *at_once, arguments.requests).await?,
        ));
    }
    Ok(Answers {
        name: question.name.clone(),
        bytes,
        found,
        times,
        // A page that isn't full: the console asks on until there is something to show.
        whole: if is_short {
            Some(to_the_end(&http, &url, question, page).await?)
        } else {
            None
        },
    })
}

async fn storm(
    http: &Client,
    url: &str,
    question: &Question,
    at_once: u16,
    requests: u32,
) -> Result<Vec<Duration>> {
    let asked = Arc::new(AtomicU32::new(0));
    let mut askers = JoinSet::new();
    for _ in 0..at_once {
        let (http, url, token) = (http.clone(), url.to_owned(), question.token.clone());
        let asked = Arc::clone(&asked);
        askers.spawn(async move {
            let mut times = Vec::new();
            while asked.fetch_add(1, Ordering::Relaxed) < requests {
                let began = Instant::now();
                answer(&http, &url, &token).await?;
                times.push(began.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut all = Vec::new();
    while let Some(times) = askers.join_next().await {
        all.extend(times??);
    }
    Ok(all)
}

/// Goes on from page to page until one is full or there is none.
async fn to_the_end(http: &Client, url: &str, question: &Question, first: Page) -> Result<Whole> {
    let (began, mut answers, mut found) = (Instant::now(), 1, first.found());
    let (list, filter) = url.split_once('?').unwrap_or((url, ""));
    let mut page = first;
    while page.goes_on(found)
        && let Some(before) = page.next
        && answers < PAGES
    {
        let body = answer(http, &format!("{list}?{filter}&before={before}"), &question.token).await?;
        page = serde_json::from_slice(&body)?;
        answers += 1;
        found += page.found();
    }
    Ok(Whole {
        answers,
        found,
        seconds: began.elapsed().as_secs_f64(),
    })
}

async fn answer(http: &Client, url: &str, token: &str) -> Result<bytes::Bytes> {
    let answer = http.get(url).bearer_auth(token).send().await?;
    let status = answer.status();
    let body = answer.bytes().await?;
    ensure!(
        status.is_success(),
        "{status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(body)
}
