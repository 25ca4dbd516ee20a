//! `codex-k8s agent`: what runs inside a run's pod. It finds its brief in the environment (`CODEX_K8S_*`, set
//! by the worker) and hands it to the program that does the work.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};

use crate::child;
use crate::config::{Environment, variables};

const PREFIX: &str = "CODEX_K8S_";

/// Runs `CODEX_K8S_AGENT_PROGRAM` with the brief as one JSON object on its standard input and passes its exit
/// code on. Without one it prints the brief and says so, which is a run that ends well and changes nothing.
pub(crate) async fn run(env: &Environment) -> Result<ExitCode> {
    let brief = brief(std::env::vars());
    let Some(program) = env.text(&variables::AGENT_PROGRAM)? else {
        let mut out = std::io::stdout().lock();
        for (name, value) in &brief {
            writeln!(out, "{name}: {value}")?;
        }
        writeln!(
            out,
            "no agent program is configured ({}): nothing to do",
            variables::AGENT_PROGRAM.name
        )?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut words = program.split_whitespace();
    let mut command = tokio::process::Command::new(words.next().context("the agent program has no name")?);
    command.args(words).stdin(Stdio::piped()).kill_on_drop(true);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut running = command
        .spawn()
        .with_context(|| format!("can't run the agent program `{program}`"))?;
    if let Some(mut input) = running.stdin.take() {
        let text = serde_json::to_string(&brief)?;
        // A program that doesn't care for its brief may close its input: that is its business.
        let _ = input.write_all(format!("{text}\n").as_bytes()).await;
    }
    let status = loop {
        tokio::select! {
            status = running.wait() => break status?,
            _ = terminate.recv() => child::terminate(&running),
        }
    };
    Ok(child::exit_code(status))
}

/// What the worker wants us to know, by lower-case name without the prefix.
fn brief(vars: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    vars.filter_map(|(name, value)| {
        let short = name.strip_prefix(PREFIX)?;
        (name != variables::AGENT_PROGRAM.name).then(|| (short.to_ascii_lowercase(), value))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brief_is_what_the_worker_set() {
        let vars = [
            ("CODEX_K8S_RUN", "7"),
            ("CODEX_K8S_AGENT_PROGRAM", "p"),
            ("PATH", "/bin"),
        ];
        let brief = brief(
            vars.into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        assert_eq!(
            brief.into_iter().collect::<Vec<_>>(),
            [("run".to_owned(), "7".to_owned())]
        );
    }
}
