//! The reference pages rendered from tables in the code are those that are committed.

use std::fmt::Write;
use std::path::Path;

use sluice_control_plane::http::codes;
use sluice_control_plane::settings::{DEFINITIONS, Effect, Kind};

/// Compares a page with what is committed, or writes it when asked to.
fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
    #[expect(clippy::disallowed_methods, reason = "a switch of this test, not a setting")]
    if std::env::var("UPDATE").is_ok() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/reference/{name} is out of date: UPDATE=1 cargo test -p sluice-control-plane --test api reference"
    );
}

#[test]
fn the_page_of_problems_has_every_code() {
    let mut page = String::from(
        "# Problems\n\nEvery error of the management API is `application/problem+json` with one of these codes. Go by the code: it never \
         changes. Titles may.\n\n| code | status | title |\n|---|--:|---|\n",
    );
    for code in codes::ALL {
        let word = code.as_str();
        writeln!(page, "| <a id=\"{word}\"></a>`{word}` | {} | {} |", code.status().as_u16(), code.title()).unwrap();
    }
    compare("problems.md", &page);
}

#[test]
fn the_page_of_site_settings_has_every_setting() {
    let mut page = String::from(
        "# Site settings\n\nWhat root changes at run time, in the console or by `PATCH /api/settings/{name}`. Settings of the process are \
         environment variables and flags instead.\n\n| name | values | default | effect | what it does |\n|---|---|---|---|---|\n",
    );
    for definition in &DEFINITIONS {
        let values = match definition.kind {
            Kind::Switch => "`true`, `false`".to_owned(),
            Kind::Whole { least, most } => format!("{least} to {most} {}", definition.unit).trim_end().to_owned(),
            Kind::Text { most } => format!("text, at most {most} characters"),
            Kind::GroupLimits => "JSON: a group, its requests and successes".to_owned(),
            Kind::Capabilities => "JSON: rows of names, and what those models take".to_owned(),
            Kind::Rate => format!("a number above 0 {}", definition.unit),
            Kind::Address => "an address, or empty".to_owned(),
            Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        };
        let default = if definition.default.is_empty() { "empty".to_owned() } else { format!("`{}`", definition.default) };
        let effect = match definition.effect {
            Effect::Relays => "relays, within a second",
            Effect::Site => "control plane, at once",
        };
        writeln!(page, "| `{}` | {values} | {default} | {effect} | {} |", definition.name, definition.description).unwrap();
    }
    compare("site-settings.md", &page);
}
