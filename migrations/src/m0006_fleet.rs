//! What a fleet needs beyond one relay: recalls of lent money, the number of uses of a token, and channels that are switched off.

use crate::change::{Change, column};
use crate::columns::{counter, flag, text_null, time_null};

pub(crate) fn changes() -> Vec<Change> {
    vec![
        // config sequence of the newest recall that the lease's relay has answered; accounts also have the kind `uses` (owner: token)
        column("leases", counter("recall_seq")),
        // 0: there is none
        column("tokens", counter("uses_account_id")),
        // whether that account limits anything
        column("tokens", flag("uses_limited")),
        // what a channel may do differently from others; 0: as everywhere
        column("channels", counter("first_output_ms")),
        column("channels", flag("keeps_empty")),
        column("channels", flag("drains")),
        // it is never switched off by itself
        column("channels", flag("stays_on")),
        // why Sluice switched the key off, and when
        column("channel_keys", text_null("status_reason", 255)),
        column("channel_keys", time_null("status_at")),
    ]
}
