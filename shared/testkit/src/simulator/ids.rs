//! Letters, digits and numbers that look random and depend on a seed alone.

/// So many letters and digits.
pub(super) fn token(seed: u64, chars: usize) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut state = seed;
    let mut text = String::with_capacity(chars);
    while text.len() < chars {
        let mut bits = mix(&mut state);
        for _ in 0..10.min(chars - text.len()) {
            text.push(char::from(LETTERS[(bits % 62) as usize]));
            bits /= 62;
        }
    }
    text
}

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(super) fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A number for a text: FNV-1a, 64 bits.
pub(super) fn fingerprint(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
