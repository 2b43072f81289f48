//! What channels do beyond sending requests on.

use crate::change::{Change, column};
use crate::columns::long_text_null;

pub(crate) fn changes() -> Vec<Change> {
    vec![
        // sealed JSON, because addresses of proxies and headers may hold secrets; null: nothing is set
        column("channels", long_text_null("sealed_settings")),
    ]
}
