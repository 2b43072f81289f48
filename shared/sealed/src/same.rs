//! Comparing secrets without telling how much of them was right.

use subtle::ConstantTimeEq;

/// Whether two secrets are the same, in a time that depends on neither content nor on where they differ.
///
/// Digests are compared, so that unequal lengths take no shortcut either.
#[must_use]
pub fn is_same_secret(ours: &[u8], presented: &[u8]) -> bool {
    blake3::hash(ours).as_bytes().ct_eq(blake3::hash(presented).as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::is_same_secret;

    #[test]
    fn only_the_whole_secret_matches() {
        assert!(is_same_secret(b"join-me", b"join-me"));
        for wrong in [&b""[..], b"join-m", b"join-me ", b"join-mf"] {
            assert!(!is_same_secret(b"join-me", wrong));
        }
    }
}
