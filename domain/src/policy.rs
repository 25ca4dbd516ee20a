//! The label policy: which label on which issue starts which run. Pure; one table test per rule.

use crate::event::Actor;
use crate::label::Label;
use crate::repository::Permission;
use crate::stage::Stage;

/// What is known when a label arrives: the label itself and the forge's *present* state, since
/// deliveries arrive late and out of order.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// The label that was put on.
    pub label: &'a str,
    /// Who put it on.
    pub actor: &'a Actor,
    /// What the forge lets that person do.
    pub permission: Permission,
    /// Whether the issue is open now.
    pub issue_open: bool,
    /// The labels that the issue has now.
    pub labels: &'a [String],
}

/// What to do about a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Start a run.
    Start {
        /// Of this stage.
        stage: Stage,
        /// As a revision of earlier work.
        revise: bool,
    },
    /// Several `run:*` labels at once: say so in a comment and start nothing.
    Conflict {
        /// The labels in conflict, sorted.
        labels: Vec<String>,
    },
    /// Nothing to do; a stable reason says why.
    Ignore(&'static str),
}

/// Whether a label can matter at all, before anything is asked of the forge.
pub fn concerns_us(label: &str) -> bool {
    Label::parse(label).is_run()
}

/// Decides what a label leads to.
pub fn decide(situation: &Situation<'_>) -> Decision {
    let (stage, revise) = match Label::parse(situation.label) {
        Label::Run { stage, revise } => (stage, revise),
        Label::UnknownRun => return Decision::Ignore("unknown_stage"),
        Label::HoldsBack | Label::Other => return Decision::Ignore("label_not_used"),
    };
    if situation.actor.is_bot {
        return Decision::Ignore("labeled_by_bot");
    }
    if !situation.permission.may_start_runs() {
        return Decision::Ignore("no_permission");
    }
    if !situation.issue_open {
        return Decision::Ignore("issue_closed");
    }
    let present = |wanted: &str| situation.labels.iter().any(|l| l.eq_ignore_ascii_case(wanted));
    if !present(situation.label) {
        return Decision::Ignore("label_removed");
    }
    let mut runs: Vec<String> = situation
        .labels
        .iter()
        .filter(|l| Label::parse(l).is_run())
        .map(|l| l.to_ascii_lowercase())
        .collect();
    runs.sort();
    runs.dedup();
    if runs.len() > 1 {
        return Decision::Conflict { labels: runs };
    }
    if situation
        .labels
        .iter()
        .any(|l| Label::parse(l) == Label::HoldsBack)
    {
        return Decision::Ignore("held_back");
    }
    Decision::Start { stage, revise }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn situation<'a>(label: &'a str, labels: &'a [String], actor: &'a Actor) -> Situation<'a> {
        Situation {
            label,
            actor,
            permission: Permission::Write,
            issue_open: true,
            labels,
        }
    }

    fn person() -> Actor {
        Actor {
            login: "ann".into(),
            is_bot: false,
        }
    }

    #[test]
    fn by_labels() {
        let start = |revise| Decision::Start {
            stage: Stage::Dev,
            revise,
        };
        for (label, present, expected) in [
            ("run:dev", vec!["run:dev", "bug"], start(false)),
            ("run:dev", vec!["Run:Dev"], start(false)),
            ("run:dev:revise", vec!["run:dev:revise"], start(true)),
            ("bug", vec!["bug"], Decision::Ignore("label_not_used")),
            (
                "state:blocked",
                vec!["state:blocked"],
                Decision::Ignore("label_not_used"),
            ),
            (
                "run:unheard-of",
                vec!["run:unheard-of"],
                Decision::Ignore("unknown_stage"),
            ),
            ("run:dev", vec!["bug"], Decision::Ignore("label_removed")),
            (
                "run:dev",
                vec!["run:dev", "state:blocked"],
                Decision::Ignore("held_back"),
            ),
            (
                "run:dev",
                vec!["run:dev", "need:input"],
                Decision::Ignore("held_back"),
            ),
            (
                "run:dev",
                vec!["run:dev:revise", "run:dev"],
                Decision::Conflict {
                    labels: vec!["run:dev".into(), "run:dev:revise".into()],
                },
            ),
        ] {
            let present: Vec<String> = present.into_iter().map(String::from).collect();
            assert_eq!(
                decide(&situation(label, &present, &person())),
                expected,
                "{label} {present:?}"
            );
        }
    }

    #[test]
    fn by_who_and_where() {
        let labels = vec!["run:dev".to_owned()];
        let person = person();
        let bot = Actor {
            login: "x[bot]".into(),
            is_bot: true,
        };
        let base = situation("run:dev", &labels, &person);
        let closed = Situation {
            issue_open: false,
            ..base.clone()
        };
        assert_eq!(decide(&closed), Decision::Ignore("issue_closed"));
        assert_eq!(
            decide(&Situation {
                actor: &bot,
                ..base.clone()
            }),
            Decision::Ignore("labeled_by_bot")
        );
        for (permission, may) in [
            (Permission::None, false),
            (Permission::Read, false),
            (Permission::Triage, false),
            (Permission::Write, true),
            (Permission::Maintain, true),
            (Permission::Admin, true),
        ] {
            let decision = decide(&Situation {
                permission,
                ..base.clone()
            });
            assert_eq!(matches!(decision, Decision::Start { .. }), may, "{permission:?}");
        }
    }
}
