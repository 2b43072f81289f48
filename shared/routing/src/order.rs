//! In which order candidates are tried.

use std::sync::Arc;

use rand::{Rng, RngExt};
use sluice_domain::{ChannelId, ChannelKeyId};
use sluice_snapshot::{Channel, ChannelKey, KeyMode};
use smallvec::SmallVec;

use crate::{Candidate, LeftOut, Odd, Reason, Turns, usable_keys};

/// Which candidate is wanted next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The one whose turn it is: attempt k starts at tier k and goes down, then up.
    Channel,
    /// Another key of this channel, else as [`Next::Channel`]: the failure was the key's.
    KeyOf(ChannelId),
}

/// Who may serve a request, frozen at its start. By default nobody.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    tiers: Vec<Vec<Arc<Channel>>>,
    left_out: Vec<LeftOut>,
    odd: Odd,
    /// The only key that may be used.
    bound: Option<ChannelKeyId>,
    tried: SmallVec<[(ChannelId, ChannelKeyId); 4]>,
    turns: Option<Turns>,
}

impl Plan {
    pub(crate) fn new(tiers: Vec<Vec<Arc<Channel>>>, left_out: Vec<LeftOut>, odd: Odd, bound: Option<ChannelKeyId>) -> Self {
        Self { tiers, left_out, odd, bound, tried: SmallVec::new(), turns: None }
    }

    /// The same, where keys of channels that want it are taken in turn. Otherwise all are taken by chance.
    #[must_use]
    pub fn with_turns(mut self, turns: &Turns) -> Self {
        self.turns = Some(turns.clone());
        self
    }

    /// Channels that serve the model and were left out, with the reasons.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Every channel that may be tried, highest priority first.
    pub fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.tiers.iter().flatten()
    }

    /// The next attempt, or `None` when everything has been tried.
    pub fn next(&mut self, wanted: Next, rng: &mut impl Rng) -> Option<Candidate> {
        let channel = match wanted {
            Next::KeyOf(id) => self.same_channel(id).or_else(|| self.by_tier(rng)),
            Next::Channel => self.by_tier(rng),
        }?;
        let key = self.pick_key(&channel, rng)?;
        self.tried.push((channel.id, key.id));
        Some(Candidate { channel, key })
    }

    /// Leaves a channel out that was to be tried with a key and was not: its turn goes to the next.
    pub fn leave_out(&mut self, candidate: (ChannelId, ChannelKeyId), reason: Reason) {
        self.tried.retain(|tried| *tried != candidate);
        for tier in &mut self.tiers {
            tier.retain(|channel| channel.id != candidate.0);
        }
        self.left_out.push(LeftOut { channel: candidate.0, reason });
    }

    fn same_channel(&self, id: ChannelId) -> Option<Arc<Channel>> {
        self.channels().find(|channel| channel.id == id && self.has_sound_key(channel)).cloned()
    }

    /// Tier min(k, last) less what was tried; then lower tiers; then from the top again. A channel that was tried with one key comes
    /// only after every channel that was not tried at all, and keys that an upstream refused come last of all.
    fn by_tier(&self, rng: &mut impl Rng) -> Option<Arc<Channel>> {
        let start = self.tried.len().min(self.tiers.len().saturating_sub(1));
        let order = || (start..self.tiers.len()).chain(0..start);
        let fresh = |channel: &Arc<Channel>| !self.tried.iter().any(|(id, _)| *id == channel.id);
        order()
            .find_map(|tier| self.pick_channel(tier, |channel| fresh(channel) && self.has_sound_key(channel), rng))
            .or_else(|| order().find_map(|tier| self.pick_channel(tier, |channel| self.has_sound_key(channel), rng)))
            .or_else(|| order().find_map(|tier| self.pick_channel(tier, |channel| self.has_untried_key(channel), rng)))
    }

    fn pick_channel(&self, tier: usize, fits: impl Fn(&Arc<Channel>) -> bool, rng: &mut impl Rng) -> Option<Arc<Channel>> {
        let fitting: SmallVec<[&Arc<Channel>; 8]> = self.tiers.get(tier)?.iter().filter(|channel| fits(channel)).collect();
        let total: u64 = fitting.iter().map(|channel| u64::from(channel.weight)).sum();
        if total == 0 {
            return pick(&fitting, rng).map(|channel| Arc::clone(channel));
        }
        let mut ticket = rng.random_range(0..total);
        for channel in fitting {
            let weight = u64::from(channel.weight);
            if ticket < weight {
                return Some(Arc::clone(channel));
            }
            ticket -= weight;
        }
        None
    }

    fn pick_key(&self, channel: &Channel, rng: &mut impl Rng) -> Option<ChannelKey> {
        let mut fitting: SmallVec<[&ChannelKey; 4]> = self.sound_keys(channel).collect();
        if fitting.is_empty() {
            fitting = self.untried_keys(channel).collect();
        }
        let in_turn = self.turns.as_ref().filter(|_| channel.settings.key_mode == KeyMode::Polling);
        let Some(turns) = in_turn else { return pick(&fitting, rng).map(|key| (*key).clone()) };
        let fits = |place: usize| channel.keys.get(place).is_some_and(|key| fitting.iter().any(|fitting| fitting.id == key.id));
        let place = turns.take(channel.id, channel.keys.len(), fits)?;
        channel.keys.get(place).cloned()
    }

    fn has_untried_key(&self, channel: &Channel) -> bool {
        self.untried_keys(channel).next().is_some()
    }

    fn untried_keys<'a>(&'a self, channel: &'a Channel) -> impl Iterator<Item = &'a ChannelKey> {
        let tried = |key: &ChannelKey| self.tried.contains(&(channel.id, key.id));
        let fits = |key: &ChannelKey| self.bound.is_none_or(|bound| bound == key.id);
        usable_keys(channel).filter(move |key| fits(key) && !tried(key) && !self.odd.is_ejected(channel.id, key.id))
    }

    fn has_sound_key(&self, channel: &Channel) -> bool {
        self.sound_keys(channel).next().is_some()
    }

    fn sound_keys<'a>(&'a self, channel: &'a Channel) -> impl Iterator<Item = &'a ChannelKey> {
        self.untried_keys(channel).filter(move |key| !self.odd.is_suspect(channel.id, key.id))
    }
}

fn pick<'a, T>(items: &'a [T], rng: &mut impl Rng) -> Option<&'a T> {
    match items {
        [] => None,
        [only] => Some(only),
        many => many.get(rng.random_range(0..many.len())),
    }
}
