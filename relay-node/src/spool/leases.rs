//! The journal of leases: what came, what went back, what a running request has set aside. It lets the next life on the same disk go on
//! with what is left (ruling R17), when nobody can be asked. None of it is reported.
//!
//! A note replaces what was known of its lease, so a segment that begins with a note of every lease needs no segment before it.

use std::collections::BTreeMap;

use sluice_billing::lease::{HeldLease, Inherited};
use sluice_domain::{AccountId, Epoch, LeaseCharge, LeaseId, Now, Quota, UnixMillis, UserId};
use sluice_rpc::usage::{LeaseEffect, lease_effect};

use super::frame::{Frame, HEADER_BYTES, Kind};

/// Bytes of a note.
const NOTE_BYTES: usize = 88;
/// Bytes of a note with its header.
pub(super) const NOTE_FRAME_BYTES: u64 = (HEADER_BYTES + NOTE_BYTES) as u64;
/// Bytes of one part of a hold.
const PART_BYTES: usize = 24;

/// Which start of the machine it is; zeros: not known.
pub type BootId = [u8; 16];

/// A lease, as it stood at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) lease: LeaseId,
    account: AccountId,
    owner: UserId,
    granted: Quota,
    returned: Quota,
    charged: Quota,
    /// End of its life, by the wall clock.
    ends_at: UnixMillis,
    /// The same since the machine started.
    ends_at_boot: u64,
    noted_at: UnixMillis,
    boot_id: BootId,
}

impl Note {
    pub(super) fn new(owner: UserId, held: &HeldLease, now: Now, boot_id: BootId) -> Self {
        let left = i64::try_from(held.expires_at.saturating_sub(now.boot_millis)).unwrap_or(i64::MAX);
        Self {
            lease: held.lease,
            account: held.account,
            owner,
            granted: held.granted,
            returned: held.returned,
            charged: held.charged,
            ends_at: now.wall.plus_millis(left),
            ends_at_boot: held.expires_at,
            noted_at: now.wall,
            boot_id,
        }
    }

    /// The note that nothing is left of a lease: it is void.
    pub(super) const fn void(lease: LeaseId) -> Self {
        Self {
            lease,
            account: AccountId::new(0),
            owner: UserId::new(0),
            granted: Quota::ZERO,
            returned: Quota::ZERO,
            charged: Quota::ZERO,
            ends_at: UnixMillis(0),
            ends_at_boot: 0,
            noted_at: UnixMillis(0),
            boot_id: [0; 16],
        }
    }

    pub(super) const fn charge(&mut self, amount: Quota) {
        self.charged = self.charged.saturating_plus(amount);
    }

    /// What can be spent of it.
    const fn rest(&self) -> Quota {
        self.granted.saturating_minus(self.returned).saturating_minus(self.charged)
    }

    /// What is left of its life. After another start of the machine only the wall clock can tell, and one that went back tells nothing.
    fn life_millis_left(&self, now: Now, boot_id: BootId) -> u64 {
        let when_noted = u64::try_from(self.ends_at.millis_since(self.noted_at)).unwrap_or(0);
        let is_same_start = self.boot_id == boot_id && boot_id != BootId::default();
        let left = if is_same_start {
            self.ends_at_boot.saturating_sub(now.boot_millis)
        } else if now.wall < self.noted_at {
            0
        } else {
            u64::try_from(self.ends_at.millis_since(now.wall)).unwrap_or(0)
        };
        left.min(when_noted)
    }

    pub(super) fn encode(&self) -> [u8; NOTE_BYTES] {
        let mut bytes = [0; NOTE_BYTES];
        let words = [
            self.lease.get(),
            self.account.get(),
            self.owner.get(),
            self.granted.get(),
            self.returned.get(),
            self.charged.get(),
            self.ends_at.0,
            self.ends_at_boot.cast_signed(),
            self.noted_at.0,
        ];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes[72..88].copy_from_slice(&self.boot_id);
        bytes
    }

    /// Reads a note; `None` when it is of another form, or an amount is out of range.
    fn decode(body: &[u8]) -> Option<Self> {
        let bytes: &[u8; NOTE_BYTES] = body.try_into().ok()?;
        let word = |place: usize| bytes[place * 8..].first_chunk().map(|word| i64::from_le_bytes(*word));
        Some(Self {
            lease: LeaseId::new(word(0)?),
            account: AccountId::new(word(1)?),
            owner: UserId::new(word(2)?),
            granted: Quota::new(word(3)?).ok()?,
            returned: Quota::new(word(4)?).ok()?,
            charged: Quota::new(word(5)?).ok()?,
            ends_at: UnixMillis(word(6)?),
            ends_at_boot: word(7)?.cast_unsigned(),
            noted_at: UnixMillis(word(8)?),
            boot_id: *bytes[72..].first_chunk()?,
        })
    }

    fn inherited(&self, now: Now, boot_id: BootId) -> Inherited {
        Inherited {
            lease: self.lease,
            account: self.account,
            owner: self.owner,
            granted: self.granted,
            returned: self.returned,
            charged: self.charged,
            life_millis_left: self.life_millis_left(now, boot_id),
        }
    }
}

/// What a request has set aside: all of it, and the part of each lease. Replaces what its intent said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) held: Quota,
    pub(super) parts: Vec<LeaseCharge>,
}

impl Hold {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.parts.len() * PART_BYTES);
        bytes.extend_from_slice(&self.held.get().to_le_bytes());
        for part in &self.parts {
            for word in [part.lease_id.get(), part.account_id.get(), part.amount.get()] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        bytes
    }

    /// Reads it back; `None` when it is of another form, or an amount is out of range.
    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let (held, rest) = body.split_first_chunk()?;
        let (parts, odd) = rest.as_chunks::<PART_BYTES>();
        if !odd.is_empty() {
            return None;
        }
        let word = |part: &[u8; PART_BYTES], place: usize| part[place * 8..].first_chunk().map(|word| i64::from_le_bytes(*word));
        let part = |part: &[u8; PART_BYTES]| {
            Some(LeaseCharge {
                lease_id: LeaseId::new(word(part, 0)?),
                account_id: AccountId::new(word(part, 1)?),
                amount: Quota::new(word(part, 2)?).ok()?,
            })
        };
        Some(Self { held: Quota::new(i64::from_le_bytes(*held)).ok()?, parts: parts.iter().map(part).collect::<Option<_>>()? })
    }
}

/// The leases that earlier lives left, gathered from their logs in order.
#[derive(Debug, Default)]
pub(super) struct LeftLeases(BTreeMap<LeaseId, (Epoch, Note)>);

impl LeftLeases {
    /// Takes in what a record says of leases.
    pub(super) fn take(&mut self, epoch: Epoch, frame: &Frame<'_>) {
        match frame.kind {
            Kind::Lease => match Note::decode(frame.body) {
                Some(note) if note.granted.is_positive() => drop(self.0.insert(note.lease, (epoch, note))),
                Some(note) => drop(self.0.remove(&note.lease)),
                None => {}
            },
            Kind::Final | Kind::LeaseClose if !self.0.is_empty() => match lease_effect(frame.body) {
                Ok(LeaseEffect::Charges(charges)) => self.charge(&charges),
                Ok(LeaseEffect::Closes(lease)) => drop(self.0.remove(&lease)),
                Err(_) => {}
            },
            _ => {}
        }
    }

    /// Takes parts out of leases: what a request was charged, or may be.
    pub(super) fn charge(&mut self, parts: &[LeaseCharge]) {
        for part in parts {
            if let Some((_, note)) = self.0.get_mut(&part.lease_id) {
                note.charge(part.amount);
            }
        }
    }

    /// That life is over at the control plane, and its leases with it; those a later life took over are noted in that one.
    pub(super) fn ended(&mut self, epoch: Epoch) {
        self.0.retain(|_, (noted_in, _)| *noted_in != epoch);
    }

    /// Some records are lost that may have charged any of them: nobody may go on with what seems to be left.
    pub(super) fn doubt(&mut self) {
        self.0.clear();
    }

    /// What there is to go on with.
    pub(super) fn inherited(&self, now: Now, boot_id: BootId) -> Vec<Inherited> {
        let notes = self.0.values().map(|(_, note)| note);
        notes.filter(|note| note.rest().is_positive()).map(|note| note.inherited(now, boot_id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: BootId = [7; 16];

    fn now(wall: i64, boot_millis: u64) -> Now {
        Now { wall: UnixMillis(wall), boot_millis }
    }

    fn held(expires_at: u64) -> HeldLease {
        HeldLease {
            lease: LeaseId::new(1),
            account: AccountId::new(2),
            granted: Quota::clamped(100),
            free: Quota::clamped(60),
            reserved: Quota::ZERO,
            charged: Quota::clamped(30),
            returned: Quota::clamped(10),
            expires_at,
        }
    }

    #[test]
    fn notes_and_holds_read_back() {
        let note = Note::new(UserId::new(3), &held(1_500), now(10_000, 1_000), BOOT);
        assert_eq!(Note::decode(&note.encode()), Some(note));
        assert_eq!(Note::decode(&note.encode()[1..]), None);
        let part =
            |lease| LeaseCharge { lease_id: LeaseId::new(lease), account_id: AccountId::new(2), amount: Quota::clamped(9) };
        for parts in [vec![], vec![part(1)], vec![part(1), part(2), part(3)]] {
            let hold = Hold { held: Quota::clamped(18), parts };
            assert_eq!(Hold::decode(&hold.encode()), Some(hold.clone()));
            assert_eq!(Hold::decode(&hold.encode()[1..]), None);
        }
    }

    #[test]
    fn life_goes_on_by_the_clock_since_boot_and_after_another_boot_by_the_wall_clock() {
        let note = Note::new(UserId::new(3), &held(1_500), now(10_000, 1_000), BOOT);
        let left = |now, boot| note.inherited(now, boot).life_millis_left;
        assert_eq!(left(now(0, 1_400), BOOT), 100, "however the wall clock jumped");
        assert_eq!(left(now(10_000, 1_500), BOOT), 0);
        for boot in [[8; 16], BootId::default()] {
            assert_eq!(left(now(10_400, 1_000_000), boot), 100);
            assert_eq!(left(now(10_500, 0), boot), 0);
            assert_eq!(left(now(9_999, 0), boot), 0, "the wall clock went back");
        }
        assert_eq!(left(now(10_000, 0), BOOT), 500, "never more than there was");
        let unknown = Note { boot_id: BootId::default(), ..note };
        assert_eq!(unknown.inherited(now(10_400, 1_000), BootId::default()).life_millis_left, 100, "unknown is not the same");
    }
}
