//! Surcharges that every request to a model costs, whatever it brings (billing.md §5).

use crate::price::{Surcharge, Surcharged};
use crate::ratio::Ratio;

/// The interface whose search models search with every request.
const CHAT: &str = "/v1/chat/completions";
/// What the names of these models end with, before a date.
const SEARCHING: &str = "-search-preview";

/// What a request costs beside its usage, by the path of its interface and the model asked for: a `*-search-preview` model searches
/// the web once. Hold, bill, settlement and explanation all take it from here.
#[must_use]
pub fn standing_surcharge(path: &str, model: &str) -> Option<Surcharge> {
    let searches = path == CHAT && model.rsplit_once(SEARCHING).is_some_and(|(_, rest)| is_date(rest));
    searches.then(|| Surcharge { what: Surcharged::WebSearch, count: 1, usd_each: web_search_usd(model) })
}

/// US dollars for one web search.
fn web_search_usd(model: &str) -> Ratio {
    const CHEAP: [&str; 3] = ["o3", "o4", "gpt-5"];
    if CHEAP.iter().any(|start| model.starts_with(start)) { Ratio::of(1, 2) } else { Ratio::of(25, 3) }
}

/// Nothing, or `-2025-03-11`.
fn is_date(rest: &str) -> bool {
    rest.is_empty() || (rest.starts_with('-') && rest.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_models_search_once_with_every_chat_request() {
        let each =
            |path, model| standing_surcharge(path, model).map(|surcharge| (surcharge.count, surcharge.usd_each.to_string()));
        assert_eq!(each(CHAT, "gpt-4o-search-preview"), Some((1, "0.025".to_owned())));
        assert_eq!(each(CHAT, "gpt-4o-mini-search-preview-2025-03-11"), Some((1, "0.025".to_owned())));
        assert_eq!(each(CHAT, "gpt-5-search-preview"), Some((1, "0.01".to_owned())));
        for (path, model) in [
            (CHAT, "gpt-4o"),
            (CHAT, "gpt-4o-search-previews"),
            (CHAT, "search-preview"),
            ("/v1/completions", "gpt-4o-search-preview"),
            ("/v1/embeddings", "gpt-4o-search-preview"),
            ("", "gpt-4o-search-preview"),
        ] {
            assert_eq!(each(path, model), None, "{path} {model}");
        }
    }
}
