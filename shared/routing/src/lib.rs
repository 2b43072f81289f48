//! Candidates in, ordered attempts with reasons out.
//!
//! [`plan`] freezes, at the start of a request, who could serve it: the channels of (group, model) in tiers of falling priority, less
//! those that cannot be used, each with the reason. [`Plan::next`] then hands out attempts one by one: within a tier by weight, over a
//! channel's keys by chance or in turn, never the same channel and key twice. Pure: chance comes in as a parameter, and what is ejected is asked
//! of the caller.

mod order;
mod turns;

use std::sync::Arc;

use sluice_domain::{ChannelId, ChannelKeyId};
use sluice_snapshot::{Channel, ChannelKey, Table};
use smallvec::SmallVec;

pub use order::{Next, Plan};
pub use turns::Turns;

/// How a channel and key stand, by what happened to them here lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing speaks against it.
    Good,
    /// The upstream refused the key: it is tried after all others.
    Suspect,
    /// It kept failing: it is left out, unless everything else is too.
    Ejected,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The group whose channels may serve it.
    pub group: &'a str,
    /// The model, as the caller said it.
    pub model: &'a str,
    /// Only this channel, whatever its group and priority.
    pub pin: Option<ChannelId>,
    /// Only this channel with this key, among those that serve the model: what the request goes on from is there and nowhere else.
    pub bound: Option<(ChannelId, ChannelKeyId)>,
}

/// One channel and one of its keys.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The channel.
    pub channel: Arc<Channel>,
    /// The key.
    pub key: ChannelKey,
}

impl Candidate {
    /// What tells it apart from every other candidate.
    #[must_use]
    pub fn id(&self) -> (ChannelId, ChannelKeyId) {
        (self.channel.id, self.key.id)
    }
}

/// Why a channel that serves the model was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Switched off by a person.
    Disabled,
    /// Switched off by Sluice because it kept failing.
    AutoDisabled,
    /// None of its keys may be used.
    NoKey,
    /// It failed on this relay just now.
    Ejected,
    /// It has no share, and others of its priority have.
    ZeroWeight,
    /// The caller asked for another channel.
    NotPinned,
    /// A limit of it allows nothing more at the moment.
    Limited,
    /// What the request goes on from is at another channel.
    NotBound,
}

impl Reason {
    /// The word used in logs, metrics and the console.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::AutoDisabled => "auto_disabled",
            Self::NoKey => "no_key",
            Self::Ejected => "ejected",
            Self::ZeroWeight => "zero_weight",
            Self::NotPinned => "not_pinned",
            Self::Limited => "limited",
            Self::NotBound => "not_bound",
        }
    }
}

/// A channel that serves the model and was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The channel.
    pub channel: ChannelId,
    /// Why.
    pub reason: Reason,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// Nothing is configured for this group and model.
    #[error("no channel serves this model in this group")]
    UnknownModel,
    /// Channels are configured, and none can be used now.
    #[error("no channel of this model can be used at the moment")]
    NoneUsable(Vec<LeftOut>),
    /// The pinned channel does not exist.
    #[error("the channel asked for does not exist")]
    UnknownPin,
}

/// Works out who may serve a request. `standing` says how channels and keys did here lately; when every one is ejected, none is left out
/// for it: the last candidates are never taken away.
///
/// # Errors
/// When nothing can serve it; the error says whether that is for good or for the moment.
pub fn plan(table: &Table, ask: Ask<'_>, standing: impl Fn(ChannelId, ChannelKeyId) -> Standing) -> Result<Plan, NoPlan> {
    let mut left_out = Vec::new();
    let mut tiers: Vec<Vec<Arc<Channel>>> = Vec::new();
    for tier in members(table, ask)? {
        let usable = keep(tier, &mut left_out, |channel| unusable(channel, ask));
        let weighted = usable.iter().any(|channel| channel.weight > 0);
        let usable = keep(usable, &mut left_out, |channel| (weighted && channel.weight == 0).then_some(Reason::ZeroWeight));
        tiers.push(usable);
    }
    // what one key alone can serve is not kept from it
    let odd = if ask.bound.is_some() { Odd::default() } else { Odd::among(&tiers, standing) };
    if !odd.ejected.is_empty() {
        let eject =
            |channel: &Channel| usable_keys(channel).all(|key| odd.is_ejected(channel.id, key.id)).then_some(Reason::Ejected);
        tiers = tiers.into_iter().map(|tier| keep(tier, &mut left_out, eject)).collect();
    }
    tiers.retain(|tier| !tier.is_empty());
    if tiers.is_empty() {
        return Err(NoPlan::NoneUsable(left_out));
    }
    Ok(Plan::new(tiers, left_out, odd, ask.bound.map(|(_, key)| key)))
}

/// Channels and keys that do not stand well.
#[derive(Debug, Clone, Default)]
struct Odd {
    suspect: SmallVec<[(ChannelId, ChannelKeyId); 2]>,
    ejected: SmallVec<[(ChannelId, ChannelKeyId); 2]>,
}

impl Odd {
    fn among(tiers: &[Vec<Arc<Channel>>], standing: impl Fn(ChannelId, ChannelKeyId) -> Standing) -> Self {
        let (mut odd, mut is_any_left) = (Self::default(), false);
        for channel in tiers.iter().flatten() {
            for key in usable_keys(channel) {
                match standing(channel.id, key.id) {
                    Standing::Good => is_any_left = true,
                    Standing::Suspect => {
                        is_any_left = true;
                        odd.suspect.push((channel.id, key.id));
                    }
                    Standing::Ejected => odd.ejected.push((channel.id, key.id)),
                }
            }
        }
        if !is_any_left {
            odd.ejected.clear();
        }
        odd
    }

    fn is_ejected(&self, channel: ChannelId, key: ChannelKeyId) -> bool {
        self.ejected.contains(&(channel, key))
    }

    fn is_suspect(&self, channel: ChannelId, key: ChannelKeyId) -> bool {
        self.suspect.contains(&(channel, key))
    }
}

fn usable_keys(channel: &Channel) -> impl Iterator<Item = &ChannelKey> {
    channel.keys.iter().filter(|key| key.status.is_enabled())
}

fn members(table: &Table, ask: Ask<'_>) -> Result<Vec<Vec<Arc<Channel>>>, NoPlan> {
    if let Some(pin) = ask.pin {
        let channel = table.channel(pin).ok_or(NoPlan::UnknownPin)?;
        return Ok(vec![vec![channel.clone()]]);
    }
    let route = table.route(ask.group, ask.model).ok_or(NoPlan::UnknownModel)?;
    Ok(route.iter().map(|tier| tier.channels.clone()).collect())
}

fn keep(
    channels: Vec<Arc<Channel>>,
    left_out: &mut Vec<LeftOut>,
    reason: impl Fn(&Channel) -> Option<Reason>,
) -> Vec<Arc<Channel>> {
    let mut kept = Vec::with_capacity(channels.len());
    for channel in channels {
        match reason(&channel) {
            Some(reason) => left_out.push(LeftOut { channel: channel.id, reason }),
            None => kept.push(channel),
        }
    }
    kept
}

fn unusable(channel: &Channel, ask: Ask<'_>) -> Option<Reason> {
    use sluice_domain::Status;
    let is_wanted = |key: &ChannelKey| ask.bound.is_none_or(|(_, bound)| bound == key.id);
    match channel.status {
        _ if ask.pin.is_some_and(|pin| pin != channel.id) => Some(Reason::NotPinned),
        _ if ask.bound.is_some_and(|(bound, _)| bound != channel.id) => Some(Reason::NotBound),
        Status::Disabled => Some(Reason::Disabled),
        Status::AutoDisabled => Some(Reason::AutoDisabled),
        Status::Enabled if !usable_keys(channel).any(is_wanted) => Some(Reason::NoKey),
        Status::Enabled => None,
    }
}

#[cfg(test)]
mod tests;
