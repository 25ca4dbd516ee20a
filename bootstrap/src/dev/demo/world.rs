//! What there is: projects with their repositories, issues, and who may do what on the simulated GitHub.

use anyhow::Result;
use testkit::github::Simulator;

/// A project and what belongs to it.
pub(in crate::dev) struct Project {
    pub(in crate::dev) slug: &'static str,
    /// How many of its runs may prepare or run at once.
    pub(in crate::dev) slots: i32,
    pub(in crate::dev) repositories: &'static [&'static str],
}

/// Beside the project `demo` that there always is.
pub(in crate::dev) const PROJECTS: [Project; 3] = [
    Project {
        slug: "storefront",
        slots: 2,
        repositories: &["acme/storefront", "acme/checkout"],
    },
    Project {
        slug: "telemetry",
        slots: 1,
        repositories: &["acme/telemetry"],
    },
    Project {
        slug: "billing",
        slots: 3,
        repositories: &["acme/billing", "acme/legacy-import"],
    },
];

/// So many issues has each of those repositories.
pub(in crate::dev) const ISSUES: i64 = 30;

/// Every repository in which the demo lets something happen.
pub(super) fn repositories() -> Vec<&'static str> {
    let others = PROJECTS.iter().flat_map(|project| project.repositories);
    std::iter::once(crate::dev::DEMO_REPOSITORY)
        .chain(others.copied())
        .collect()
}

const TITLES: [&str; 24] = [
    "Spelling error in the README file",
    "Search returns nothing for names with an umlaut",
    "Flaky test: the retry counter is off by one",
    "Cache the exchange rates for an hour",
    "Dark mode: the badge can't be read",
    "Export orders as CSV",
    "Migrate the whole history to the new schema",
    "Log in with a passkey",
    "Show the delivery date before checkout",
    "Deprecate the v1 endpoints",
    "Timeout when more than 1,000 rows are selected",
    "Say why a card was declined",
    "Property test for the parser fails on empty input",
    "Keyboard shortcut for the next message",
    "Rate limit the password reset",
    "Retry webhooks with a growing pause",
    "Round prices per line, not per order",
    "Rebuild every search index",
    "Document the environment variables",
    "Drop support for the old client",
    "Send invoices in the customer's language",
    "Replace the deprecated clock",
    "Integration test needs a real queue",
    "Upload fails on a slow connection",
];

/// An issue's title.
pub(in crate::dev) fn title(number: i64) -> &'static str {
    let index = usize::try_from(number - 1).unwrap_or(0) % TITLES.len();
    TITLES[index]
}

/// What the people of the demo may do in every repository.
pub(in crate::dev) fn people_github(github: &Simulator) -> Result<()> {
    for repository in repositories() {
        for (login, role) in [
            ("olga", "admin"),
            ("adam", "admin"),
            ("lea", "maintain"),
            ("walt", "write"),
            ("rita", "read"),
        ] {
            github.set_permission(repository, login, role)?;
        }
    }
    Ok(())
}
