//! Whether a caller may: the token's state, where it is used from, its owner, group and models (relay-api.md §3, in that order).

pub mod keeping;
pub mod limits;

use std::net::IpAddr;

use sluice_domain::key::ChannelPin;
use sluice_domain::{ChannelId, GroupName, ModelName, Role, UnixMillis, suffix};
use sluice_snapshot::Table;

use crate::auth::Caller;
use crate::error::{Kind, Refusal};

/// The group that stands for whichever group has a channel.
pub const AUTO: &str = "auto";

/// A caller who may call.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// Who it is.
    pub caller: Caller,
    /// The group whose channels and ratio apply.
    pub group: GroupName,
    /// The only channel that may serve the request.
    pub pin: Option<ChannelId>,
}

impl Admitted {
    /// Whether the caller may know which channel answers: administrators may.
    #[must_use]
    pub fn may_know_channels(&self) -> bool {
        self.caller.user.role >= Role::Admin
    }
}

/// Judges a caller.
///
/// # Errors
/// With the first check that fails.
pub fn check(caller: Caller, table: &Table, address: IpAddr, now: UnixMillis) -> Result<Admitted, Refusal> {
    let token = &caller.token;
    if !token.status.is_enabled() {
        return Err(Refusal::new(Kind::TokenDisabled, format!("the token {} is disabled", token.name)));
    }
    if token.is_expired_at(now) {
        return Err(Refusal::new(Kind::TokenExpired, format!("the token {} has expired", token.name)));
    }
    if !token.allows_address(address) {
        return Err(Refusal::new(Kind::AddressNotAllowed, "the token may not be used from this address"));
    }
    if !caller.user.status.is_enabled() {
        return Err(Refusal::new(Kind::UserDisabled, "the owner of the token is disabled"));
    }
    let group = using_group(&caller, table)?;
    let pin = pinned(&caller, table)?;
    Ok(Admitted { caller, group, pin })
}

/// Whether a token may ask for a model, by its full name or by the plain one; where no channel lists that, without its suffix: what it asks
/// for, any request for the model may.
///
/// # Errors
/// When its list of models has another opinion.
pub fn check_model(admitted: &Admitted, table: &Table, model: &ModelName, plain: &str) -> Result<(), Refusal> {
    let token = &admitted.caller.token;
    let bare = || suffix::bare(plain).filter(|_| table.route(admitted.group.as_str(), plain).is_none());
    if token.allows_model(model.as_str()) || token.allows_model(plain) || bare().is_some_and(|bare| token.allows_model(bare)) {
        return Ok(());
    }
    let message = format!("the token {} has no access to model {model}", token.name);
    Err(Refusal::new(Kind::ModelNotAllowed, message).with_param("model"))
}

fn using_group(caller: &Caller, table: &Table) -> Result<GroupName, Refusal> {
    let own = &caller.user.group;
    let Some(chosen) = &caller.token.group else { return existing(own, table) };
    let is_usable =
        chosen == own || chosen.as_str() == AUTO || table.group(own.as_str()).is_some_and(|group| group.usable.contains(chosen));
    if !is_usable {
        return Err(Refusal::new(Kind::GroupNotAllowed, format!("the group {chosen} may not be used")));
    }
    existing(chosen, table)
}

fn existing(group: &GroupName, table: &Table) -> Result<GroupName, Refusal> {
    if group.as_str() == AUTO || table.group(group.as_str()).is_some() {
        return Ok(group.clone());
    }
    Err(Refusal::new(Kind::GroupNotFound, format!("the group {group} does not exist")))
}

fn pinned(caller: &Caller, table: &Table) -> Result<Option<ChannelId>, Refusal> {
    let Some(pin) = caller.pin else { return Ok(None) };
    if caller.user.role < Role::Admin {
        return Err(Refusal::new(Kind::PinNotAllowed, "only administrators may name a channel after their key"));
    }
    match pin {
        ChannelPin::Channel(id) => match table.channel(id) {
            None => Err(Refusal::new(Kind::PinUnknown, "invalid channel id")),
            Some(channel) if !channel.status.is_enabled() => {
                Err(Refusal::new(Kind::PinNotAllowed, "the channel asked for is disabled"))
            }
            Some(_) => Ok(Some(id)),
        },
        ChannelPin::Unreadable => Err(Refusal::new(Kind::PinUnknown, "invalid channel id")),
    }
}

#[cfg(test)]
mod tests;
