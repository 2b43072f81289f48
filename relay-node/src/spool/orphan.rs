//! The final record of a request whose relay died, or whose end nobody recorded.

use std::fmt;
use std::str::FromStr;

use sluice_domain::{LeaseCharge, Outcome, Quota, Record, Usage};
use sluice_rpc::usage;

use super::leases::Hold;

/// What a request costs that was cut off by the death of its relay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CrashBilling {
    /// What it had consumed at its last progress.
    #[default]
    Progress,
    /// Nothing.
    Free,
    /// What was held for it.
    Reserve,
}

impl CrashBilling {
    const ALL: [Self; 3] = [Self::Progress, Self::Free, Self::Reserve];

    /// The word of the setting.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Progress => "progress",
            Self::Free => "free",
            Self::Reserve => "reserve",
        }
    }
}

impl fmt::Display for CrashBilling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CrashBilling {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == word).ok_or("must be progress, free or reserve")
    }
}

/// What is on record of a request without an end.
#[derive(Debug, Clone)]
pub(super) struct Known<B> {
    pub(super) intent: B,
    pub(super) hold: Option<Hold>,
    pub(super) progress: Option<Usage>,
}

/// A request that is ended by somebody else.
#[derive(Debug)]
pub(super) struct Orphan {
    /// Its final record.
    pub(super) body: Vec<u8>,
    /// What it had set aside: the most its leases may be charged.
    pub(super) parts: Vec<LeaseCharge>,
}

/// Ends a request at what is known of it. `None` when the intent is not one this build can read.
///
/// There is no price list at this point: the control plane computes what the progress costs, and charges it to what the request had set
/// aside in each lease, in their order.
pub(super) fn end<B: AsRef<[u8]>>(known: Known<B>, rule: CrashBilling) -> Option<Orphan> {
    let Ok(Record::Request(mut request)) = usage::decode(known.intent.as_ref()) else { return None };
    if let Some(hold) = known.hold {
        (request.held, request.charges) = (hold.held, hold.parts);
    }
    let parts = request.charges.clone();
    request.outcome = Outcome::Orphaned;
    request.usage_estimated = true;
    request.usage = if rule == CrashBilling::Free { Usage::default() } else { known.progress.unwrap_or_default() };
    request.quota = if rule == CrashBilling::Reserve { request.held } else { Quota::ZERO };
    Some(Orphan { body: usage::encode(&Record::Request(request)), parts })
}
