//! What each request must have cost, by the provider's own account.

use std::collections::HashMap;

use sluice_testkit::simulator::{Ending, LogEntry};

/// A price in whole units per thousand tokens, so that the oracle needs no decimals of ours.
#[derive(Debug, Clone, Copy)]
pub struct PerThousand {
    /// For 1,000 tokens of input.
    pub input: i64,
    /// For 1,000 tokens of output.
    pub output: i64,
}

impl Account {
    /// What a broken answer cost at the least: what a stream had brought well before its end, which whoever died has noted, and whoever was
    /// left, or cut off, has read. Of several attempts nobody here knows which one the caller got.
    #[must_use]
    pub fn least(&self) -> i64 {
        match (self.completed.as_slice(), self.early.as_slice()) {
            ([], [early]) => *early,
            _ => 0,
        }
    }
}

impl PerThousand {
    /// Units for these tokens, rounded half up, at least 1 when there were any.
    #[must_use]
    pub fn of(self, input: i64, output: i64) -> i64 {
        // a provider may claim absurd figures
        let part = |tokens: i64, price: i64| tokens.saturating_mul(price);
        let thousandths = part(input, self.input).saturating_add(part(output, self.output));
        match thousandths.saturating_add(500) / 1_000 {
            0 if thousandths > 0 => 1,
            units => units,
        }
    }
}

/// What the provider says about one request of a caller: several entries when it was tried again.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Cost of the answers that were handed over in full.
    pub completed: Vec<i64>,
    /// Cost, had they been whole, of the answers that were cut.
    pub cut: Vec<i64>,
    /// Cost of what streams that were cut had brought well before their end.
    pub early: Vec<i64>,
}

/// The provider's log by the caller's request id, priced.
#[must_use]
pub fn accounts(log: &[LogEntry], price: PerThousand) -> HashMap<String, Account> {
    let mut accounts: HashMap<String, Account> = HashMap::new();
    for entry in log {
        let Some(id) = &entry.request_id else { continue };
        let account = accounts.entry(id.clone()).or_default();
        // whoever kept its figures to itself is counted by what it sent; an error is nothing
        let counted = || if entry.sent_tokens > 0 { price.of(entry.prompt_tokens, entry.sent_tokens) } else { 0 };
        let cost = entry.usage.as_ref().map_or_else(counted, |usage| price.of(usage.prompt_tokens, usage.completion_tokens));
        match entry.ending {
            Ending::Completed => account.completed.push(cost),
            Ending::AbortedByClient | Ending::Cut => {
                account.cut.push(price.of(entry.prompt_tokens, entry.sent_tokens));
                let is_early = entry.stream && entry.early_tokens > 0;
                account.early.push(if is_early { price.of(entry.prompt_tokens, entry.early_tokens) } else { 0 });
            }
        }
    }
    accounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_of_one_attempt_that_was_cut_has_a_least_price() {
        let cut = |early: &[i64], completed: &[i64]| Account {
            completed: completed.to_vec(),
            cut: early.to_vec(),
            early: early.to_vec(),
        };
        assert_eq!(cut(&[7], &[]).least(), 7);
        assert_eq!(cut(&[7, 9], &[]).least(), 0);
        assert_eq!(cut(&[7], &[20]).least(), 0);
        assert_eq!(Account::default().least(), 0);
    }

    #[test]
    fn the_oracle_rounds_half_up_and_charges_at_least_one() {
        let price = PerThousand { input: 75, output: 300 };
        assert_eq!(price.of(1, 1), 1);
        assert_eq!(price.of(0, 0), 0);
        assert_eq!(price.of(20, 0), 2, "1.5 is rounded up");
        assert_eq!(price.of(1_000, 1_000), 375);
    }
}
