//! How long answers of a model were lately: what a hold goes by when the caller sets no limit (ruling R5). Pure.

/// Results after which all counts are halved, so that old ones fade.
const MEMORY: u32 = 512;
/// Results below which nothing can be said.
const LEAST: u32 = 20;
/// Buckets to each doubling of length.
const PARTS: u32 = 4;
/// Lengths below this, in tokens, are one bucket.
const SHORT: u64 = 16;
/// Buckets up to 2³⁰ tokens, beyond any model.
const BUCKETS: usize = 1 + 26 * PARTS as usize;

/// Lengths of the answers of one model, in buckets a quarter of a doubling wide.
#[derive(Debug, Clone)]
pub struct Lengths {
    counts: [u16; BUCKETS],
    total: u32,
}

impl Default for Lengths {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0 }
    }
}

impl Lengths {
    /// One more answer was so long, in tokens.
    pub fn add(&mut self, tokens: u64) {
        if let Some(count) = self.counts.get_mut(bucket_of(tokens)) {
            *count = count.saturating_add(1);
        }
        self.total += 1;
        if self.total >= MEMORY {
            self.fade();
        }
    }

    /// A length that 95 of 100 answers did not pass, in tokens, rounded up to the end of its bucket; 0 while too few are known.
    #[must_use]
    pub fn usual(&self) -> u64 {
        if self.total < LEAST {
            return 0;
        }
        let enough = (self.total * 95).div_ceil(100);
        let mut seen = 0;
        for (bucket, count) in (0_u32..).zip(&self.counts) {
            seen += u32::from(*count);
            if seen >= enough {
                return end_of(bucket);
            }
        }
        end_of(u32::try_from(BUCKETS).unwrap_or(u32::MAX) - 1)
    }

    fn fade(&mut self) {
        for count in &mut self.counts {
            *count /= 2;
        }
        self.total = self.counts.iter().map(|count| u32::from(*count)).sum();
    }
}

/// The bucket of a length.
fn bucket_of(tokens: u64) -> usize {
    if tokens < SHORT {
        return 0;
    }
    let doublings = tokens.ilog2() - SHORT.ilog2();
    let part = (tokens >> (tokens.ilog2() - PARTS.ilog2())) - u64::from(PARTS);
    let bucket = u64::from(1 + doublings * PARTS) + part;
    usize::try_from(bucket).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// The first length beyond a bucket.
fn end_of(bucket: u32) -> u64 {
    let Some(place) = bucket.checked_sub(1) else { return SHORT };
    let (doublings, part) = (place / PARTS, u64::from(place % PARTS));
    ((u64::from(PARTS) + part + 1) << doublings) * SHORT / u64::from(PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_said_of_a_few_answers() {
        let mut lengths = Lengths::default();
        for _ in 0..LEAST - 1 {
            lengths.add(100);
        }
        assert_eq!(lengths.usual(), 0);
        lengths.add(100);
        assert_eq!(lengths.usual(), 112);
    }

    #[test]
    fn one_long_answer_in_a_hundred_is_not_usual_and_one_in_ten_is() {
        let mut lengths = Lengths::default();
        for number in 0..100 {
            lengths.add(if number == 50 { 30_000 } else { 500 });
        }
        assert_eq!(lengths.usual(), 512);
        for number in 0..100 {
            lengths.add(if number % 5 == 0 { 30_000 } else { 500 });
        }
        assert_eq!(lengths.usual(), 32_768);
    }

    #[test]
    fn old_answers_fade() {
        let mut lengths = Lengths::default();
        for _ in 0..2_000 {
            lengths.add(50_000);
        }
        for _ in 0..5_000 {
            lengths.add(20);
        }
        assert_eq!(lengths.usual(), 24);
    }

    proptest! {
        #[test]
        fn a_length_lies_below_the_end_of_its_bucket_and_not_below_that_of_the_one_before(tokens in 0_u64..1 << 30) {
            let bucket = u32::try_from(bucket_of(tokens)).unwrap();
            prop_assert!(tokens < end_of(bucket), "{} in {}", tokens, bucket);
            prop_assert!(bucket == 0 || tokens >= end_of(bucket - 1));
        }
    }
}
