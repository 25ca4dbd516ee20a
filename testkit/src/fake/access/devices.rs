//! [`DeviceSignIns`] in memory.

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::access::{Collected, DeviceSignIn, Digest, NewApiToken, NewDeviceSignIn, UserCode};
use domain::flow::FlowActor;
use domain::id::UserId;
use domain::port::PortError;
use domain::port::access::{DeviceSignIns, OwnAccess};
use serde_json::json;

use super::{DeviceRow, FakeAccess};

#[async_trait]
impl DeviceSignIns for FakeAccess {
    async fn begin(&self, new: NewDeviceSignIn, lasts_s: i64) -> Result<bool, PortError> {
        let mut state = self.lock();
        let now = state.now();
        state.devices.retain(|_, row| row.sign_in.expires_at > now);
        if state.devices.values().any(|row| row.code == new.code) {
            return Ok(false);
        }
        let row = DeviceRow {
            code: new.code,
            sign_in: DeviceSignIn {
                wish: new.wish,
                created_at: now,
                expires_at: now + TimeDelta::seconds(lasts_s),
            },
            decided: None,
        };
        state.devices.insert(new.device, row);
        Ok(true)
    }

    async fn find(&self, code: &UserCode) -> Result<Option<DeviceSignIn>, PortError> {
        let state = self.lock();
        let now = state.now();
        let mut open = state.devices.values().filter(|row| row.is_open(now));
        Ok(open.find(|row| row.code == *code).map(|row| row.sign_in.clone()))
    }

    async fn decide(
        &self,
        user: UserId,
        code: &UserCode,
        approve: bool,
        by: &FlowActor,
    ) -> Result<bool, PortError> {
        let mut state = self.lock();
        let now = state.now();
        let mut open = state.devices.values_mut().filter(|row| row.is_open(now));
        let Some(row) = open.find(|row| row.code == *code) else {
            return Ok(false);
        };
        row.decided = Some((user, approve));
        let wish = row.sign_in.wish.clone();
        let scopes: Vec<&str> = wish.scopes.iter().map(|scope| scope.as_str()).collect();
        let data = json!({ "name": wish.name, "scopes": scopes, "days": wish.days, "source": wish.source });
        let kind = if approve {
            "access.device_approved"
        } else {
            "access.device_denied"
        };
        state.note(user, kind, by, data);
        Ok(true)
    }

    async fn collect(&self, device: Digest, token: Digest) -> Result<Collected, PortError> {
        let (user, email, wish) = {
            let mut state = self.lock();
            let now = state.now();
            let row = state
                .devices
                .get(&device)
                .filter(|row| row.sign_in.expires_at > now);
            let Some(row) = row else {
                return Ok(Collected::Gone);
            };
            let Some((user, approved)) = row.decided else {
                return Ok(Collected::Pending);
            };
            let wish = row.sign_in.wish.clone();
            state.devices.remove(&device);
            match state.users.get(&user) {
                Some(person) if approved && person.active => (user, person.email.clone(), wish),
                _ => return Ok(Collected::Denied),
            }
        };
        let new = NewApiToken {
            name: wish.name,
            scopes: wish.scopes,
            days: wish.days,
            digest: token,
        };
        let by = FlowActor::Human(email.as_str().to_owned());
        let made = self.create_token(user, new, &by).await?;
        Ok(Collected::Token(made, email))
    }
}
