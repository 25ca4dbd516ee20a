//! The ports of access: signing in, recognising, and keeping people, members and tokens. Every change is
//! audited with what was before and after, in its own transaction. The database's clock decides what is over.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::PortError;
use crate::access::{
    ApiToken, Change, Collected, DeviceSignIn, Digest, Email, Identity, Member, NewApiToken, NewDeviceSignIn,
    NewSignIn, NewSigningKey, OwnerWish, PlatformRole, Principal, ProjectRole, Refreshed, Session,
    SessionTimes, SignedIn, SigningKey, User, UserCode, Via,
};
use crate::flow::FlowActor;
use crate::id::{ProjectId, SessionId, TokenId, UserId};
use crate::precondition::Precondition;
use crate::secret::Secret;

/// The forge as the one who says who people are.
#[async_trait]
pub trait IdentityProvider: Send + Sync {
    /// Where to send the browser, with this state and the S256 challenge of a verifier.
    fn authorize_url(&self, state: &str, challenge: &str, redirect_uri: &str) -> String;

    /// Exchanges the code that the browser came back with, and asks who it is. `None` if the forge doesn't
    /// accept the code with this verifier.
    async fn identity(
        &self,
        code: &Secret<String>,
        verifier: &Secret<String>,
        redirect_uri: &str,
    ) -> Result<Option<Identity>, PortError>;
}

/// Signing in and out.
#[async_trait]
pub trait SignIns: Send + Sync {
    /// Makes this person the owner if there is none; inviting them where needed. Idempotent.
    async fn ensure_owner(&self, email: &Email) -> Result<OwnerWish, PortError>;

    /// Begins a session for the active person with this GitHub id; else for the one invited by one of the
    /// verified addresses whom no id is bound to yet, which binds it. `None` if there is neither.
    async fn sign_in(&self, wish: NewSignIn) -> Result<Option<SignedIn>, PortError>;

    /// Replaces a refresh token by the next one. One that was replaced already ends its session.
    async fn refresh(&self, old: Digest, new: Digest, times: SessionTimes) -> Result<Refreshed, PortError>;

    /// Ends the session that this refresh token belongs to, if there is one.
    async fn sign_out(&self, refresh: Digest) -> Result<(), PortError>;
}

/// Recognising who asks: at each request, so that what was taken away is gone with the next.
#[async_trait]
pub trait Principals: Send + Sync {
    /// Whose session this is; `None` when it has ended, the person isn't active, or `token_expires_at` is over.
    async fn by_session(
        &self,
        session: SessionId,
        token_expires_at: DateTime<Utc>,
    ) -> Result<Option<Principal>, PortError>;

    /// Whose personal token this is; notes its use. `None` when it is over, revoked, or the person isn't active.
    async fn by_token(&self, token: Digest) -> Result<Option<Principal>, PortError>;

    /// Who these have become, in their order, for those who stay connected: `None` for a session or token that is
    /// over, or whose person isn't active. One statement for all.
    async fn standing(&self, known: &[Via]) -> Result<Vec<Option<Principal>>, PortError>;
}

/// The keys that access tokens are signed with.
#[async_trait]
pub trait SigningKeys: Send + Sync {
    /// Those that sign or still verify, the one to sign with first.
    async fn list(&self) -> Result<Vec<SigningKey>, PortError>;

    /// Adds a key unless one was added within `rotate_after_s`; says whether it did. The first signs at once,
    /// later ones after `overlap_s`, and those before them verify for `overlap_s` more and are then gone.
    async fn add(&self, key: NewSigningKey, rotate_after_s: i64, overlap_s: i64) -> Result<bool, PortError>;
}

/// People, as platform admins see and change them.
#[async_trait]
pub trait UserDesk: Send + Sync {
    /// Lets this address sign in; one that was invited before stays as it is.
    async fn invite(&self, email: &Email, by: &FlowActor) -> Result<User, PortError>;
    /// People after this one, by identifier, at most `limit`.
    async fn list(&self, after: Option<UserId>, limit: i64) -> Result<Vec<User>, PortError>;
    /// One person.
    async fn get(&self, id: UserId) -> Result<Option<User>, PortError>;
    /// Makes them this on the platform, as long as they are as they were seen.
    async fn set_role(
        &self,
        id: UserId,
        role: PlatformRole,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Change<User>, PortError>;
    /// Lets them in again, or keeps them out, which ends their sessions and revokes their tokens for good; as long as
    /// they are as they were seen.
    async fn set_active(
        &self,
        id: UserId,
        active: bool,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Change<User>, PortError>;
    /// Makes them the owner in place of the one who is, who stays a platform admin. `OwnerStays` for somebody who may
    /// not sign in, or never has.
    async fn hand_over(&self, to: UserId, by: &FlowActor) -> Result<Change<User>, PortError>;
    /// Ends every session of this person; says how many.
    async fn sign_out_everywhere(&self, id: UserId, by: &FlowActor) -> Result<i64, PortError>;
}

/// Members of projects.
#[async_trait]
pub trait MemberDesk: Send + Sync {
    /// The project of this slug.
    async fn project(&self, slug: &str) -> Result<Option<ProjectId>, PortError>;
    /// The person with this address.
    async fn person(&self, email: &Email) -> Result<Option<UserId>, PortError>;
    /// Its members, by address.
    async fn list(&self, project: ProjectId) -> Result<Vec<Member>, PortError>;
    /// Makes this person a member with this role, as long as they are what they were seen as.
    async fn set(
        &self,
        project: ProjectId,
        user: UserId,
        role: ProjectRole,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Change<Member>, PortError>;
    /// Makes them none, as long as they are what they were seen as.
    async fn remove(
        &self,
        project: ProjectId,
        user: UserId,
        seen: &Precondition,
        by: &FlowActor,
    ) -> Result<Change<()>, PortError>;
}

/// A person's own sessions and tokens.
#[async_trait]
pub trait OwnAccess: Send + Sync {
    /// Sessions that haven't ended, newest first.
    async fn sessions(&self, user: UserId) -> Result<Vec<Session>, PortError>;
    /// Ends one; `false` if it isn't theirs or has ended.
    async fn end_session(&self, user: UserId, id: SessionId, by: &FlowActor) -> Result<bool, PortError>;
    /// Personal tokens that are neither over nor revoked, newest first.
    async fn tokens(&self, user: UserId) -> Result<Vec<ApiToken>, PortError>;
    /// Makes one.
    async fn create_token(
        &self,
        user: UserId,
        token: NewApiToken,
        by: &FlowActor,
    ) -> Result<ApiToken, PortError>;
    /// Revokes one; `false` if it isn't theirs or is over.
    async fn revoke_token(&self, user: UserId, id: TokenId, by: &FlowActor) -> Result<bool, PortError>;
}

/// Signing in programs that have no browser.
#[async_trait]
pub trait DeviceSignIns: Send + Sync {
    /// Begins one that lasts so long; `false` if its code is taken just now, or very many wait.
    async fn begin(&self, new: NewDeviceSignIn, lasts_s: i64) -> Result<bool, PortError>;
    /// The one with this code that nobody has decided on; `None` also when its time is over.
    async fn find(&self, code: &UserCode) -> Result<Option<DeviceSignIn>, PortError>;
    /// Confirms or refuses it, as this person; `false` if it isn't there to be decided on.
    async fn decide(
        &self,
        user: UserId,
        code: &UserCode,
        approve: bool,
        by: &FlowActor,
    ) -> Result<bool, PortError>;
    /// Makes the token of a confirmed one, with this digest, once; and forgets the sign-in.
    async fn collect(&self, device: Digest, token: Digest) -> Result<Collected, PortError>;
}
