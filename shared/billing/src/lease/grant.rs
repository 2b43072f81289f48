//! The control plane's rule for how much one grant hands out.

use sluice_domain::Quota;

/// A balance below this many mean requests is low: leases are sized for a minute and returned when idle for one.
pub const LOW_BALANCE_REQUESTS: i64 = 100;

/// How much to grant of `available` (balance plus credit line) to a relay that needs `need` and would like `want`, while
/// `nodes_holding` other relays hold leases of the account. `None`: it cannot be granted, the account is exhausted for this need.
///
/// The need itself is granted whenever it is affordable. Beyond it a grant is at most half of what is available, shared with the
/// other holders, so that a lease is never the whole balance. A need of zero is a refill: it is never worth the whole of anything.
#[must_use]
pub fn grant_size(available: Quota, need: Quota, want: Quota, nodes_holding: u32) -> Option<Quota> {
    let need = need.max(Quota::ZERO);
    if need > available {
        return None;
    }
    let share = Quota::clamped(available.get() / 2 / (i64::from(nodes_holding) + 1));
    let size = want.max(need).min(share.max(need));
    size.is_positive().then_some(size)
}

/// Whether a balance is low: less than [`LOW_BALANCE_REQUESTS`] times the mean cost of a request.
#[must_use]
pub fn is_low(available: Quota, mean_request: Quota) -> bool {
    available.get() / LOW_BALANCE_REQUESTS < mean_request.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(available: i64, need: i64, want: i64, holding: u32) -> Option<i64> {
        let quota = Quota::clamped;
        grant_size(quota(available), quota(need), quota(want), holding).map(Quota::get)
    }

    #[test]
    fn the_need_is_granted_to_the_last_unit_and_the_want_up_to_the_share() {
        assert_eq!(size(1000, 10, 400, 0), Some(400));
        assert_eq!(size(1000, 10, 900, 0), Some(500));
        assert_eq!(size(1000, 10, 900, 4), Some(100));
        assert_eq!(size(1000, 1000, 5000, 4), Some(1000));
        assert_eq!(size(1000, 1001, 5000, 0), None);
        assert_eq!(size(0, 0, 100, 0), None);
        assert_eq!(size(-5, 0, 100, 0), None);
        assert_eq!(size(1, 0, 100, 0), None, "a refill never takes the last unit");
    }

    #[test]
    fn low_is_less_than_a_hundred_requests() {
        assert!(is_low(Quota::clamped(99_999), Quota::clamped(1000)));
        assert!(!is_low(Quota::clamped(100_000), Quota::clamped(1000)));
        assert!(is_low(Quota::clamped(-1), Quota::clamped(1)));
    }

    proptest! {
        #[test]
        fn a_grant_covers_the_need_and_is_never_more_than_there_is(available in -10_i64..10_000, need in 0_i64..10_000, want in 0_i64..20_000, holding in 0_u32..20) {
            match size(available, need, want, holding) {
                Some(granted) => prop_assert!(granted >= need && granted <= available && granted > 0),
                None => prop_assert!(need > available || available / 2 / (i64::from(holding) + 1) == 0 || want == 0),
            }
        }
    }
}
