//! How much output a request is held for: before it is sent, and while it streams (protocol.md B3, ruling R5). Pure.
//!
//! Where a model is paid per call, or brings no output, its price is held exactly and nothing here is asked. Token counts are over all
//! answers of a request unless they say *each*. Start reading at [`HoldRules::cover`].

use serde::{Deserialize, Serialize};
use sluice_domain::Quota;

use crate::price::{PriceError, Rate, Surcharge, hold};

/// How output is held for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldPolicy {
    /// As much as answers of the model usually bring while the balance is healthy, extended as the answer streams; `Strict` when the
    /// balance is low or the caller names a limit.
    #[default]
    Adaptive,
    /// All that may come. Where that is more than there is, the upstream is asked for less.
    Strict,
    /// A window, extended as the answer streams; the stream is cut where it cannot be. For models that take no limit.
    Windowed,
}

impl HoldPolicy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Adaptive, Self::Strict, Self::Windowed];
    /// Their words.
    pub const WORDS: [&'static str; 3] = [Self::Adaptive.as_str(), Self::Strict.as_str(), Self::Windowed.as_str()];

    /// The word used in settings, in prices and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Adaptive => "adaptive",
            Self::Strict => "strict",
            Self::Windowed => "windowed",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == word)
    }
}

/// What a site says about holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldRules {
    /// How output is held for, unless the model's price says otherwise.
    pub policy: HoldPolicy,
    /// The least that is held for at first where it is extended, and each step of that: tokens of each answer.
    pub window: u64,
    /// What an answer may bring when nobody says: neither the caller nor the model's price. Tokens.
    pub assumed_max: u64,
    /// Whether the upstream may be asked for less than the caller wants, when there is money for less.
    pub clamps: bool,
    /// With less than this the request is refused instead: tokens of each answer.
    pub floor: u64,
}

/// What a request asks for, as far as its hold goes by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The caller's limit for each answer, in tokens.
    pub limit: Option<u64>,
    /// The most the model brings in each answer, in tokens, where it is known.
    pub cap: Option<u64>,
    /// What each answer of this model brought lately, nearly always at most: tokens; 0 when that is not known.
    pub usual: u64,
    /// How many answers are generated, at least 1.
    pub choices: u64,
    /// Whether it streams, so that it can be followed.
    pub streams: bool,
}

/// The output a request is held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cover {
    /// With less than this nothing is begun, in tokens. As much as `most` where it is all or nothing.
    pub least: u64,
    /// What is held for if it can be, in tokens.
    pub most: u64,
    /// What about output beyond that.
    pub beyond: Beyond,
}

/// What becomes of output beyond what was held for at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// There is none: the upstream knows the limit.
    Nothing,
    /// More is held for as it comes.
    Extended {
        /// By so much each time, in tokens.
        step: u64,
        /// Up to this, where there is a limit, in tokens.
        most: Option<u64>,
    },
    /// It is seen only when all of it is there, and paid from what the account has.
    Owed,
}

impl Wanted {
    /// The most each answer may bring, as far as somebody says.
    fn bound(&self) -> Option<u64> {
        match (self.limit, self.cap) {
            (Some(limit), Some(cap)) => Some(limit.min(cap)),
            (limit, cap) => limit.or(cap),
        }
    }

    fn of_all(&self, each: u64) -> u64 {
        each.saturating_mul(self.choices.max(1))
    }
}

impl HoldRules {
    /// What a request is held for. `is_low` says that its balance is low.
    #[must_use]
    pub fn cover(&self, wanted: &Wanted, is_low: bool) -> Cover {
        match self.policy {
            HoldPolicy::Strict => self.strict(wanted),
            HoldPolicy::Adaptive if is_low || wanted.limit.is_some() => self.strict(wanted),
            HoldPolicy::Adaptive => self.followed(wanted, wanted.usual.max(self.window)),
            HoldPolicy::Windowed => self.windowed(wanted),
        }
    }

    /// The limit to send upstream in place of the caller's, for each answer, when `covered` tokens are held for. `None`: the caller's
    /// own request says it, or the model itself ends there.
    #[must_use]
    pub fn limit_to_send(&self, wanted: &Wanted, cover: &Cover, covered: u64) -> Option<u32> {
        if !self.clamps || cover.beyond != Beyond::Nothing {
            return None;
        }
        let each = covered / wanted.choices.max(1);
        let is_kept = wanted.bound().is_some_and(|bound| bound <= each);
        (!is_kept).then(|| u32::try_from(each).unwrap_or(u32::MAX))
    }

    /// All that may come, or with less money less.
    fn strict(&self, wanted: &Wanted) -> Cover {
        let each = wanted.bound().unwrap_or(self.assumed_max);
        let least = if self.clamps { self.floor.max(1).min(each) } else { each };
        Cover { least: wanted.of_all(least), most: wanted.of_all(each), beyond: Beyond::Nothing }
    }

    /// So much of each answer at first, all or nothing. A stream is followed from there.
    fn followed(&self, wanted: &Wanted, at_first: u64) -> Cover {
        let each = wanted.bound().map_or(at_first, |bound| bound.min(at_first));
        let first = wanted.of_all(each);
        Cover { least: first, most: first, beyond: self.beyond(wanted, first) }
    }

    /// A window of a stream, or less of it with less money. What does not stream cannot be cut: all of it is held for, if that is known.
    fn windowed(&self, wanted: &Wanted) -> Cover {
        if !wanted.streams {
            return self.followed(wanted, wanted.bound().unwrap_or(self.window));
        }
        let cover = self.followed(wanted, self.window);
        Cover { least: cover.most.min(wanted.of_all(self.floor.max(1))), ..cover }
    }

    fn beyond(&self, wanted: &Wanted, first: u64) -> Beyond {
        let most = wanted.bound().map(|bound| wanted.of_all(bound));
        match most {
            Some(most) if most <= first => Beyond::Nothing,
            _ if wanted.streams => Beyond::Extended { step: wanted.of_all(self.window.max(1)), most },
            _ => Beyond::Owed,
        }
    }
}

/// What it costs to hold for a request: its prompt, what is on top of every request, and so much output.
#[derive(Debug, Clone, Copy)]
pub struct HoldCost<'a> {
    /// The price.
    pub rate: &'a Rate,
    /// Estimate of the prompt, in tokens.
    pub prompt: u64,
    /// The least prompt that is held for, in tokens.
    pub least_prompt: u64,
    /// What is known beforehand to come on top.
    pub surcharges: &'a [Surcharge],
}

impl HoldCost<'_> {
    /// What is held for so much output.
    ///
    /// # Errors
    /// When the model has no price or the amount is out of range.
    pub fn of(&self, output: u64) -> Result<Quota, PriceError> {
        hold(self.rate, self.prompt, output, self.least_prompt, self.surcharges)
    }

    /// The most output, in tokens and at most `most`, that `held` covers. 0 when it does not even cover the prompt.
    #[must_use]
    pub fn affordable(&self, held: Quota, most: u64) -> u64 {
        let is_covered = |output| self.of(output).is_ok_and(|cost| cost <= held);
        if is_covered(most) {
            return most;
        }
        // more output never costs less: covered below `covered` and at it, never at `beyond` or above
        let (mut covered, mut beyond) = (0, most);
        while beyond - covered > 1 {
            let middle = covered + (beyond - covered) / 2;
            if is_covered(middle) {
                covered = middle;
            } else {
                beyond = middle;
            }
        }
        covered
    }
}

/// The output of a stream that is held for so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    covered: u64,
    step: u64,
    most: Option<u64>,
}

impl Window {
    /// The window of a request that is held for `covered` tokens; `None` when it is never extended.
    #[must_use]
    pub fn of(cover: &Cover, covered: u64) -> Option<Self> {
        match cover.beyond {
            Beyond::Extended { step, most } => Some(Self { covered, step, most }),
            Beyond::Nothing | Beyond::Owed => None,
        }
    }

    /// What is held for, in tokens.
    #[must_use]
    pub const fn covered(&self) -> u64 {
        self.covered
    }

    /// Whether so much output uses it up, and more may come.
    #[must_use]
    pub fn is_used_up(&self, output: u64) -> bool {
        output >= self.covered && self.may_grow()
    }

    /// Whether so much output comes near its end: the moment to extend it, before anybody has to wait.
    #[must_use]
    pub fn is_nearly_used_up(&self, output: u64) -> bool {
        output.saturating_add(self.step / 2) >= self.covered && self.may_grow()
    }

    /// The next window, when so much output came.
    #[must_use]
    pub fn next(&self, output: u64) -> Self {
        let next = self.covered.max(output).saturating_add(self.step.max(1));
        let covered = self.most.map_or(next, |most| next.min(most.max(self.covered)));
        Self { covered, ..*self }
    }

    /// The same window where only so much could be held for.
    #[must_use]
    pub const fn covering(self, covered: u64) -> Self {
        Self { covered, ..self }
    }

    fn may_grow(&self) -> bool {
        self.most.is_none_or(|most| self.covered < most)
    }
}

#[cfg(test)]
mod tests;
