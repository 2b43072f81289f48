//! How long things take between a relay and its control plane.

/// The times of the money protocol, in milliseconds. Both halves must be given the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long a relay may use a lease after asking for it.
    pub life_millis: u64,
    /// What the control plane waits beyond that before it doubts a lease, for clocks and messages under way.
    pub grace_millis: u64,
    /// How long a lease stays in doubt before its remainder goes back. `None`: until somebody says so.
    pub in_doubt_hold_millis: Option<u64>,
    /// A lease is sized for the spending of this long; a refill comes when half of it is gone. The other half lasts for the life of a lease
    /// should the control plane be away (ruling R17), so this is twice as long.
    pub horizon_millis: u64,
    /// The same when the balance is low; also the step in which spending is measured.
    pub low_horizon_millis: u64,
    /// A lease that was not used for this long is closed, so that its money is not stranded here.
    pub idle_millis: u64,
    /// The same when the balance is low.
    pub low_idle_millis: u64,
    /// A verdict about an account holds this long, or until money comes in (ruling R1).
    pub verdict_millis: u64,
    /// "Could not be found out" holds this long: enough to keep a crowd from asking at once.
    pub unavailable_millis: u64,
    /// A request without an answer is sent again, with the same number, after this long.
    pub ask_again_millis: u64,
    /// The same for a renewal.
    pub renew_again_millis: u64,
    /// A request waits this long for what other relays give back.
    pub recall_wait_millis: u64,
    /// A recall counts this long for leases that are still on their way to a relay. For those it has it counts until they end.
    pub recall_memory_millis: u64,
}

impl Default for Terms {
    /// The numbers of protocol.md, but for the horizon: with its 600 s only 300 would be left where ruling R17 promises 600.
    fn default() -> Self {
        Self {
            life_millis: 600_000,
            grace_millis: 30_000,
            in_doubt_hold_millis: Some(3_600_000),
            horizon_millis: 1_200_000,
            low_horizon_millis: 60_000,
            idle_millis: 600_000,
            low_idle_millis: 60_000,
            verdict_millis: 2_000,
            unavailable_millis: 500,
            ask_again_millis: 2_000,
            renew_again_millis: 10_000,
            recall_wait_millis: 1_000,
            recall_memory_millis: 2_000,
        }
    }
}

impl Terms {
    /// The same protocol in fast motion: everything that waits for use, ends or losses takes `divisor` times less. What waits for an
    /// answer of the other side stays, because networks and machines do not get faster.
    #[must_use]
    pub fn scaled(self, divisor: u32) -> Self {
        let divisor = u64::from(divisor.max(1));
        Self {
            life_millis: self.life_millis / divisor,
            grace_millis: self.grace_millis / divisor,
            in_doubt_hold_millis: self.in_doubt_hold_millis.map(|hold| hold / divisor),
            horizon_millis: self.horizon_millis / divisor,
            low_horizon_millis: (self.low_horizon_millis / divisor).max(1),
            idle_millis: self.idle_millis / divisor,
            low_idle_millis: self.low_idle_millis / divisor,
            renew_again_millis: self.renew_again_millis / divisor,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_motion_keeps_what_waits_for_an_answer() {
        let fast = Terms::default().scaled(20);
        assert_eq!((fast.life_millis, fast.grace_millis, fast.low_horizon_millis), (30_000, 1_500, 3_000));
        assert_eq!((fast.verdict_millis, fast.recall_wait_millis, fast.ask_again_millis), (2_000, 1_000, 2_000));
        assert_eq!(Terms::default().scaled(0), Terms::default());
        assert_eq!(Terms::default().scaled(u32::MAX).low_horizon_millis, 1, "a step of nothing would divide by nothing");
    }
}
