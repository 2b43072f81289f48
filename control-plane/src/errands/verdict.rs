//! What a test, or a balance, means for its channel: the same rules as for what relays see of it (relay-api.md §8).

use sluice_domain::ChannelKeyId;

use super::{Errand, Kind, Outcome};
use crate::app::App;
use crate::channels::{self, Evidence, Observed};
use crate::http::ApiError;
use crate::settings::{self, Site};

/// The reason of a channel that answers too slowly.
const TOO_SLOW: &str = "response_time_exceeded";
/// The reason of a key whose money is used up.
const NO_MONEY: &str = "balance used up";

/// Switches a channel or key off, or on again, where the site wants that.
pub(super) async fn decide(app: &App, errand: &Errand, outcome: &Outcome, evidence: Option<Evidence>) -> Result<(), ApiError> {
    let site = settings::site(app).await?;
    let (id, disables) = (errand.channel, site.automatic_disable_channel_enabled);
    match errand.kind {
        Kind::Models => {}
        Kind::Balance => {
            if disables && outcome.ok && is_used_up(outcome) {
                channels::switch_off(app, id, errand.key, NO_MONEY).await?;
            }
        }
        Kind::Test if !outcome.ok => {
            let key = errand.key.unwrap_or(ChannelKeyId::new(0));
            let evidence: Vec<Evidence> = evidence.into_iter().collect();
            channels::judge(app, &Observed { channel: id, key, attempts: 0, successes: 0, evidence }).await?;
        }
        Kind::Test if is_too_slow(&site, outcome) => {
            if disables {
                channels::switch_off(app, id, None, TOO_SLOW).await?;
            }
        }
        Kind::Test => {
            if site.automatic_enable_channel_enabled {
                channels::switch_on(app, id, errand.key).await?;
            }
        }
    }
    Ok(())
}

fn is_used_up(outcome: &Outcome) -> bool {
    let amount = outcome.amount.as_deref().unwrap_or_default();
    // decimal text: nothing but zeros and a point, or a minus before it
    amount.starts_with('-') || (!amount.is_empty() && amount.bytes().all(|byte| matches!(byte, b'0' | b'.')))
}

fn is_too_slow(site: &Site, outcome: &Outcome) -> bool {
    let limit = site.channel_disable_threshold;
    limit > 0 && outcome.latency_ms > limit.saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_used_up_at_zero_and_below() {
        let is_used_up = |amount: &str| is_used_up(&Outcome { amount: Some(amount.to_owned()), ..Outcome::default() });
        for amount in ["0", "0.00", "-0.5", "-12"] {
            assert!(is_used_up(amount), "{amount}");
        }
        for amount in ["0.000000001", "1", "10.50", ""] {
            assert!(!is_used_up(amount), "{amount}");
        }
    }

    #[test]
    fn slow_is_what_takes_longer_than_the_site_says_and_nothing_where_it_says_nothing() {
        let after = |latency_ms| Outcome { latency_ms, ..Outcome::default() };
        let site = |channel_disable_threshold| Site { channel_disable_threshold, ..Site::default() };
        assert!(is_too_slow(&site(5), &after(5_001)) && !is_too_slow(&site(5), &after(5_000)));
        assert!(!is_too_slow(&site(0), &after(i64::MAX)));
    }
}
