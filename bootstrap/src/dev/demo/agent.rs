//! `codex-k8s dev agent`: what agents do where no program is configured for them. It prints its brief and then
//! plays one of a few parts, by the number of the issue, so that runs differ and can be followed.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

/// How a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Ends well after this many steps.
    Succeeds(u32),
    /// Finds a test that it can't mend.
    Fails,
    /// Goes on for minutes.
    Endures,
    /// Writes a hundred thousand lines as fast as it can.
    Talks,
}

/// The issue whose agent writes very much.
const TALKATIVE: i64 = 100;
const STEP: Duration = Duration::from_millis(400);
const ENDURANCE_STEPS: u32 = 300;
const ENDURANCE_STEP: Duration = Duration::from_secs(2);
const LINES: u32 = 100_000;

impl Part {
    fn of(issue: i64) -> Self {
        match issue {
            TALKATIVE => Self::Talks,
            _ if issue % 10 == 7 => Self::Endures,
            _ if issue % 10 == 3 => Self::Fails,
            _ => Self::Succeeds(4 + u32::try_from(issue.rem_euclid(7)).unwrap_or(0) * 2),
        }
    }
}

const FILES: [&str; 8] = [
    "src/search/normalise.rs",
    "src/orders/export.rs",
    "src/http/retry.rs",
    "tests/search.rs",
    "docs/README.md",
    "src/cache/rates.rs",
    "src/auth/passkey.rs",
    "migrations/0042_history.sql",
];

/// Plays the part.
pub(crate) async fn run() -> Result<ExitCode> {
    let brief = |name: &str| std::env::var(format!("CODEX_K8S_{name}")).unwrap_or_default();
    for name in [
        "RUN_ID",
        "PROJECT",
        "REPOSITORY",
        "ISSUE",
        "STAGE",
        "ROLE",
        "REVISE",
    ] {
        say(&format!("{}: {}", name.to_ascii_lowercase(), brief(name)))?;
    }
    let issue = brief("ISSUE").parse().unwrap_or(1);
    say(&format!("cloning {} ...", brief("REPOSITORY")))?;
    match Part::of(issue) {
        Part::Succeeds(steps) => {
            work(steps, STEP).await?;
            say("test result: ok. 128 passed; 0 failed; 0 ignored")?;
            say("no pull request was opened: this agent only shows what a run looks like")?;
            Ok(ExitCode::SUCCESS)
        }
        Part::Fails => {
            work(5, STEP).await?;
            say("test search::finds_names_with_umlauts ... \u{1b}[31mFAILED\u{1b}[0m")?;
            say("thread 'search::finds_names_with_umlauts' panicked at tests/search.rs:42:5:")?;
            say("assertion `left == right` failed\n  left: 0\n right: 3")?;
            say("test result: FAILED. 127 passed; 1 failed; 0 ignored")?;
            say("error: the test can't be made to pass without changing what it demands")?;
            Ok(ExitCode::from(2))
        }
        Part::Endures => {
            work(ENDURANCE_STEPS, ENDURANCE_STEP).await?;
            Ok(ExitCode::SUCCESS)
        }
        Part::Talks => {
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            for line in 1..=LINES {
                writeln!(
                    out,
                    "row {line} of {LINES}: migrated, checksum {:08x}",
                    line.wrapping_mul(2_654_435_761)
                )?;
            }
            out.flush()?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn work(steps: u32, pause: Duration) -> Result<()> {
    for step in 1..=steps {
        let file = FILES[step as usize % FILES.len()];
        match step % 4 {
            1 => say(&format!("reading {file}"))?,
            2 => say(&format!(
                "\u{1b}[36mthinking\u{1b}[0m about {file}: {} places to look at",
                3 + step % 9
            ))?,
            3 => say(&format!("editing {file}: +{} -{}", 2 + step % 17, step % 5))?,
            _ => say(&format!("running the tests ({step} of {steps})"))?,
        }
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issues_differ() {
        assert_eq!(Part::of(1), Part::Succeeds(6));
        assert_eq!(Part::of(3), Part::Fails);
        assert_eq!(Part::of(17), Part::Endures);
        assert_eq!(Part::of(100), Part::Talks);
    }
}
