//! Labels that mean something to us.

use crate::stage::Stage;

/// A label of an issue, as far as it concerns us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// `run:<stage>` or `run:<stage>:revise`: starts a run.
    Run {
        /// The stage.
        stage: Stage,
        /// Whether earlier work is to be revised.
        revise: bool,
    },
    /// A `run:` label that no stage of this version answers to.
    UnknownRun,
    /// `state:blocked` or `need:input`: holds runs back.
    HoldsBack,
    /// Anything else.
    Other,
}

impl Label {
    /// Reads a label's name. Labels on the forge don't differ by case.
    pub fn parse(name: &str) -> Self {
        let name = name.trim().to_ascii_lowercase();
        if let Some(rest) = name.strip_prefix("run:") {
            let (stage, revise) = match rest.strip_suffix(":revise") {
                Some(stage) => (stage, true),
                None => (rest, false),
            };
            return stage
                .parse()
                .map_or(Self::UnknownRun, |stage| Self::Run { stage, revise });
        }
        match name.as_str() {
            "state:blocked" | "need:input" => Self::HoldsBack,
            _ => Self::Other,
        }
    }

    /// Whether the label asks for a run, known or not.
    pub fn is_run(self) -> bool {
        matches!(self, Self::Run { .. } | Self::UnknownRun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse() {
        let dev = |revise| Label::Run {
            stage: Stage::Dev,
            revise,
        };
        for (name, expected) in [
            ("run:dev", dev(false)),
            ("Run:Dev", dev(false)),
            ("run:dev:revise", dev(true)),
            ("run:dev:again", Label::UnknownRun),
            ("run:", Label::UnknownRun),
            ("run:nonsense", Label::UnknownRun),
            ("state:blocked", Label::HoldsBack),
            ("need:input", Label::HoldsBack),
            ("state:in-review", Label::Other),
            ("bug", Label::Other),
            ("rerun:dev", Label::Other),
        ] {
            assert_eq!(Label::parse(name), expected, "{name}");
        }
    }
}
