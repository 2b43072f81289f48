//! The final record of a request whose relay died, or whose end nobody recorded.

use sluice_domain::{Outcome, Quota, Record, Usage};
use sluice_rpc::usage;

/// Turns an intent into a final record at the last progress. `None` when the intent is not one this build can read.
///
/// There is no price list at this point: the figures are zero and the control plane computes the price, on the leases the intent names.
pub(super) fn final_of(intent: &[u8], progress: Option<Usage>) -> Option<Vec<u8>> {
    let Ok(Record::Request(mut request)) = usage::decode(intent) else { return None };
    request.outcome = Outcome::Orphaned;
    request.usage = progress.unwrap_or_default();
    request.usage_estimated = true;
    request.quota = Quota::ZERO;
    for charge in &mut request.charges {
        charge.amount = Quota::ZERO;
    }
    Some(usage::encode(&Record::Request(request)))
}
