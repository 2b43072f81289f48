//! The reference pages of settings and metrics are rendered from the code, and the committed ones are those. Here, because only this
//! program knows both halves.

mod metrics;
mod settings;

use std::path::Path;

/// Compares a page with what is committed, or writes it when asked to.
fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    #[expect(clippy::disallowed_methods, reason = "a switch of this test, not a setting")]
    if std::env::var("UPDATE").is_ok() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "docs/reference/{name} is out of date: UPDATE=1 cargo test -p sluice-standalone reference");
}

/// A text as the cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
