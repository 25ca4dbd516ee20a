//! Who may sign in to a simulated GitHub, one person for each role, and somebody whom nobody has invited.

use anyhow::Result;
use domain::access::{PlatformRole, ProjectRole};
use domain::flow::FlowActor;
use domain::port::access::{MemberDesk, SignIns, UserDesk};
use domain::{Precondition, Secret};
use postgres::{Options, Store};

use super::DEMO_PROJECT;

/// Somebody on the sign-in page.
pub(super) struct Person {
    pub(super) login: &'static str,
    /// Beside the name.
    pub(super) note: &'static str,
    pub(super) email: &'static str,
}

/// The owner.
pub(super) const OWNER: &str = "olga@example.com";
const ADMIN: &str = "adam@example.com";
const LEAD: &str = "lea@example.com";
const WRITER: &str = "walt@example.com";
const READER: &str = "rita@example.com";

/// Everybody on the sign-in page.
pub(super) const PEOPLE: [Person; 6] = [
    person("olga", "owner: may everything", OWNER),
    person("adam", "platform admin: users and all projects", ADMIN),
    person("lea", "admin of the project demo, sees storefront", LEAD),
    person(
        "walt",
        "read and write in the project demo, admin of telemetry",
        WRITER,
    ),
    person("rita", "read in the project demo", READER),
    person("eve", "not invited", "eve@example.com"),
];

const fn person(login: &'static str, note: &'static str, email: &'static str) -> Person {
    Person { login, note, email }
}

/// Invites them at the first start; afterwards they are what they were made since.
pub(super) async fn seed(database_url: &str) -> Result<()> {
    let options = Options {
        max_connections: 2,
        ..Options::new(Secret::new(database_url.to_owned()))
    };
    let store = Store::connect(&options).await?;
    if UserDesk::list(&store, None, 1).await?.is_empty() {
        let by = &FlowActor::System;
        store.ensure_owner(&OWNER.parse()?).await?;
        let admin = store.invite(&ADMIN.parse()?, by).await?;
        store
            .set_role(admin.id, PlatformRole::Admin, &Precondition::Anything, by)
            .await?;
        for (email, slug, role) in [
            (LEAD, DEMO_PROJECT, ProjectRole::Admin),
            (WRITER, DEMO_PROJECT, ProjectRole::ReadWrite),
            (READER, DEMO_PROJECT, ProjectRole::Read),
            (LEAD, "storefront", ProjectRole::Read),
            (WRITER, "telemetry", ProjectRole::Admin),
        ] {
            let user = store.invite(&email.parse()?, by).await?;
            // With `--empty` there is but the one.
            if let Some(project) = store.project(slug).await? {
                store
                    .set(project, user.id, role, &Precondition::Anything, by)
                    .await?;
            }
        }
    }
    store.close().await;
    Ok(())
}
