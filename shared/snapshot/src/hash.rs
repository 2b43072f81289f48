//! A hash over everything a relay has, kept up to date change by change.

/// The sum, modulo 2^128, of the hashes of all entries: order does not matter, and adding and taking away undo each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateHash(u128);

impl StateHash {
    const CONTEXT: &'static str = "sluice state hash v1";

    /// The hash of one entry, over exactly the bytes that were sent.
    #[must_use]
    pub fn of_entry(kind: &str, name: &str, rev: i64, body: &[u8]) -> u128 {
        let mut hasher = blake3::Hasher::new_derive_key(Self::CONTEXT);
        for part in [kind.as_bytes(), name.as_bytes(), &rev.to_le_bytes(), body] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut low = [0_u8; 16];
        hasher.finalize_xof().fill(&mut low);
        u128::from_le_bytes(low)
    }

    /// With an entry.
    pub const fn add(&mut self, entry: u128) {
        self.0 = self.0.wrapping_add(entry);
    }

    /// Without an entry.
    pub const fn remove(&mut self, entry: u128) {
        self.0 = self.0.wrapping_sub(entry);
    }

    /// As sent.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// As received; `None` when it is not 16 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(u128::from_le_bytes(bytes.try_into().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_removing_undoes_adding() {
        let (a, b) = (StateHash::of_entry("group", "a", 1, b"x"), StateHash::of_entry("group", "b", 1, b"x"));
        let (mut first, mut second) = (StateHash::default(), StateHash::default());
        first.add(a);
        first.add(b);
        second.add(b);
        second.add(a);
        assert_eq!(first, second);
        first.remove(b);
        second = StateHash::default();
        second.add(a);
        assert_eq!(first, second);
    }

    #[test]
    fn parts_cannot_run_into_each_other() {
        assert_ne!(StateHash::of_entry("ab", "c", 1, b""), StateHash::of_entry("a", "bc", 1, b""));
        assert_ne!(StateHash::of_entry("a", "b", 1, b"c"), StateHash::of_entry("a", "b", 2, b"c"));
    }
}
