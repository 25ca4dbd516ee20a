//! Who asks, and what they may: read from the database at each request.

use crate::flow::FlowActor;
use crate::id::{ProjectId, SessionId, TokenId, UserId};

use super::{PlatformRole, ProjectRole, Right, Scope};

/// How somebody was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// Signed in.
    Session(SessionId),
    /// By a personal token.
    Token {
        /// Which one.
        id: TokenId,
        /// What it may be used for.
        scopes: Vec<Scope>,
    },
    /// By the development token, which belongs to nobody.
    Development,
}

/// The one who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The person; `None` for the development token.
    pub user: Option<UserId>,
    /// For the audit: the e-mail address.
    pub name: String,
    /// On the platform.
    pub role: PlatformRole,
    /// In projects.
    pub memberships: Vec<(ProjectId, ProjectRole)>,
    /// How they were recognised.
    pub via: Via,
}

/// The projects in which a right holds: what queries of project data filter by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Projects {
    /// All, also those that are still to come.
    All,
    /// These only.
    Only(Vec<ProjectId>),
}

impl Default for Projects {
    /// None: who forgets the filter sees nothing.
    fn default() -> Self {
        Self::Only(Vec::new())
    }
}

impl Projects {
    /// Whether this project is among them.
    pub fn contains(&self, project: ProjectId) -> bool {
        match self {
            Self::All => true,
            Self::Only(projects) => projects.contains(&project),
        }
    }

    /// The identifiers, `None` for all.
    pub fn ids(&self) -> Option<Vec<i64>> {
        match self {
            Self::All => None,
            Self::Only(projects) => Some(projects.iter().map(|project| project.0).collect()),
        }
    }
}

impl Principal {
    /// Whoever has the development token: may everything that isn't a person's own.
    pub fn development() -> Self {
        Self {
            user: None,
            name: "development".to_owned(),
            role: PlatformRole::Owner,
            memberships: Vec::new(),
            via: Via::Development,
        }
    }

    /// Whether the right holds at all: on the platform, or in some project.
    pub fn may(&self, right: Right) -> bool {
        if let Via::Token { scopes, .. } = &self.via
            && !right.scope().is_none_or(|scope| scopes.contains(&scope))
        {
            return false;
        }
        match right {
            Right::SignedIn => true,
            Right::OwnAccess => matches!(self.via, Via::Session(_)),
            Right::PlatformRead | Right::PlatformWrite | Right::PlatformAdmin => self.is_admin(),
            Right::PlatformOwner => {
                self.role == PlatformRole::Owner && !matches!(self.via, Via::Token { .. })
            }
            Right::ProjectRead | Right::ProjectWrite | Right::ProjectAdmin => {
                self.is_admin() || !self.members_with(right).is_empty()
            }
        }
    }

    /// In which projects the right holds.
    pub fn projects(&self, right: Right) -> Projects {
        if !self.may(right) {
            Projects::Only(Vec::new())
        } else if self.is_admin() {
            Projects::All
        } else {
            Projects::Only(self.members_with(right))
        }
    }

    /// For the audit.
    pub fn actor(&self) -> FlowActor {
        FlowActor::Human(self.name.clone())
    }

    fn is_admin(&self) -> bool {
        self.role >= PlatformRole::Admin
    }

    fn members_with(&self, right: Right) -> Vec<ProjectId> {
        let Some(needed) = right.project_role() else {
            return Vec::new();
        };
        let memberships = self.memberships.iter().filter(|(_, role)| *role >= needed);
        memberships.map(|(project, _)| *project).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(role: PlatformRole, memberships: &[(i64, ProjectRole)], via: Via) -> Principal {
        Principal {
            user: Some(UserId(1)),
            name: "ann@example.com".to_owned(),
            role,
            memberships: memberships
                .iter()
                .map(|(id, role)| (ProjectId(*id), *role))
                .collect(),
            via,
        }
    }

    fn rights(principal: &Principal) -> Vec<&'static str> {
        let held = Right::ALL.iter().filter(|right| principal.may(**right));
        held.map(|right| right.as_str()).collect()
    }

    const SESSION: Via = Via::Session(SessionId(1));

    #[test]
    fn what_roles_give() {
        let nobody = person(PlatformRole::None, &[], SESSION);
        assert_eq!(rights(&nobody), ["signed_in", "own_access"]);
        let member = |role| person(PlatformRole::None, &[(7, role)], SESSION);
        assert_eq!(
            rights(&member(ProjectRole::Read)),
            ["signed_in", "own_access", "project_read"]
        );
        assert_eq!(rights(&member(ProjectRole::ReadWrite)).len(), 4);
        assert_eq!(rights(&member(ProjectRole::Admin)).len(), 5);
        assert_eq!(
            rights(&person(PlatformRole::Owner, &[], SESSION)).len(),
            Right::ALL.len()
        );
        let admin = rights(&person(PlatformRole::Admin, &[], SESSION));
        assert_eq!(admin.len(), Right::ALL.len() - 1);
        assert!(!admin.contains(&"platform_owner"), "{admin:?}");
        assert_eq!(rights(&Principal::development()).len(), Right::ALL.len() - 1);
    }

    #[test]
    fn a_token_gives_at_most_its_scopes_and_at_most_the_person() {
        let token = |role, scopes: &[Scope]| {
            let via = Via::Token {
                id: TokenId(1),
                scopes: scopes.to_vec(),
            };
            rights(&person(role, &[(7, ProjectRole::ReadWrite)], via))
        };
        assert_eq!(
            token(PlatformRole::Owner, &[Scope::Read]),
            ["signed_in", "project_read", "platform_read"]
        );
        assert_eq!(token(PlatformRole::None, &[Scope::Admin]), ["signed_in"]);
        assert_eq!(
            token(PlatformRole::None, &[Scope::Write]),
            ["signed_in", "project_write"]
        );
        assert_eq!(token(PlatformRole::Owner, &[]), ["signed_in"]);
    }

    #[test]
    fn in_which_projects() {
        let mixed = person(
            PlatformRole::None,
            &[
                (1, ProjectRole::Read),
                (2, ProjectRole::ReadWrite),
                (3, ProjectRole::Admin),
            ],
            SESSION,
        );
        let ids = |right| mixed.projects(right).ids().unwrap();
        assert_eq!(ids(Right::ProjectRead), [1, 2, 3]);
        assert_eq!(ids(Right::ProjectWrite), [2, 3]);
        assert_eq!(ids(Right::ProjectAdmin), [3]);
        assert!(ids(Right::PlatformRead).is_empty());
        let admin = person(PlatformRole::Admin, &[], SESSION);
        assert_eq!(admin.projects(Right::ProjectAdmin), Projects::All);
        let token = Via::Token {
            id: TokenId(1),
            scopes: vec![Scope::Read],
        };
        let reader = person(PlatformRole::Admin, &[], token);
        assert_eq!(reader.projects(Right::ProjectRead), Projects::All);
        assert_eq!(reader.projects(Right::ProjectWrite), Projects::Only(vec![]));
    }
}
