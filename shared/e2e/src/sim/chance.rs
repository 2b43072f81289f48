//! Chance from one number. An own generator of a few lines, so that a seed means the same whatever version a crate has.

/// A generator: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The generator of a seed, apart from others of the same seed by `stream`.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut dice = Self(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        dice.draw();
        dice
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.draw() % (high.saturating_sub(low) + 1)
    }

    /// The same for amounts.
    pub fn amount(&mut self, low: i64, high: i64) -> i64 {
        low + (self.draw() % ((high - low).unsigned_abs() + 1)).cast_signed()
    }

    /// The place of one of `count`.
    pub fn place(&mut self, count: usize) -> usize {
        usize::try_from(self.draw() % (count.max(1) as u64)).unwrap_or(0)
    }

    /// Yes, in so many of a thousand cases.
    pub fn permille(&mut self, often: u64) -> bool {
        self.draw() % 1000 < often
    }

    /// Mostly short, sometimes long, on average `mean`.
    pub fn wait(&mut self, mean: u64) -> u64 {
        // the minimum of a few draws would do; this is the exponential law in whole numbers, cut at eight means
        let mut left = 8 * mean;
        let step = (mean / 8).max(1);
        let mut waited = 0;
        while left > 0 && !self.permille(118) {
            waited += step;
            left = left.saturating_sub(step);
        }
        waited + self.between(0, step)
    }
}
