//! The page of dialects: what the cases and the fields gave, and the lists of mistakes.

use std::fmt::Write as _;

use super::fields::{Fate, Field};
use super::known::{self, Mistake};
use super::pair::{Pair, WITNESSES};
use super::{cases, fields, run};

const INTRODUCTION: &str = "\
# Dialects

What callers of each dialect get at providers of each dialect. Every cell is what a test found when it ran the case: what a caller sends, \
written and read without any code of ours, goes through the same functions that relays use. Rules are those of the specification's \
*Dialect conversions*, by section.

*passes*: caller and provider speak the same, so the body goes as it came, the model's name apart, and the answer comes back as it is. \
*yes*: written anew, and the other side understands the same, field by field.

";

/// Cases that are never a loss.
const NEVER_LOST: [&str; 5] = ["plain", "stream", "tools round trip", "usage with cache", "error"];

pub(super) fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("## Cases\n\nNo case of these is a loss in any pair.\n");
    for caller in &WITNESSES {
        writeln!(page, "\n### {} callers\n\n| case |{}\n|---{}|", caller.name, heads(), "|---".repeat(4)).unwrap();
        for (name, case) in cases::CASES {
            let cells = WITNESSES.iter().map(|upstream| {
                let word = if upstream.surface == caller.surface { "passes" } else { "yes" };
                run(case, Pair { caller, upstream }).map_or(" **no** |".to_owned(), |()| format!(" {word} |"))
            });
            writeln!(page, "| {name} |{}", cells.collect::<String>()).unwrap();
        }
    }
    writeln!(page, "\n{} are never a loss, whatever comes.\n", NEVER_LOST.join(", ")).unwrap();
    all_fields(&mut page);
    page.push_str(
        "\n## Mistakes that are not made here\n\nWhat other gateways got wrong, and the tests that would fail if it came here.\n",
    );
    mistakes(&mut page, "Conversions", &known::CONVERSIONS);
    mistakes(&mut page, "Providers", &known::PROVIDERS);
    mistakes(&mut page, "The relay", &known::RELAY);
    page
}

fn heads() -> String {
    WITNESSES.iter().flat_map(|upstream| [" at ", upstream.name, " |"]).collect()
}

fn all_fields(page: &mut String) {
    page.push_str(
        "## Fields\n\nWhat one dialect can ask for and another cannot. *left out*: it is advice, the answer is good without it; it is named in \
         `x-sluice-dropped-fields`. *refused*: the answer would be wrong without it; status 400 names the field before anybody is asked. A \
         channel can turn one into the other. Images and documents by address that a model takes only inline are fetched beforehand, where the \
         site allows it.\n",
    );
    let fields = fields::fields();
    for (number, caller) in WITNESSES.iter().enumerate() {
        writeln!(page, "\n### {} callers' fields\n\n| field | rule |{}\n|---|---{}|", caller.name, heads(), "|---".repeat(4))
            .unwrap();
        for field in fields.iter().filter(|field| field.caller == number) {
            writeln!(page, "| {} | {} |{}", field.name, field.rule, fates(field)).unwrap();
        }
    }
}

fn fates(field: &Field) -> String {
    let shown = |fate| match fate {
        Fate::Passes => " passes |".to_owned(),
        Fate::Sent(place) => format!(" `{}` |", place.trim_start_matches('/').replace('/', ".")),
        Fate::Dropped(name) => format!(" left out: `{name}` |"),
        Fate::Refused(name) => format!(" refused: `{name}` |"),
        Fate::Lost => " **lost** |".to_owned(),
    };
    (0..WITNESSES.len()).map(|upstream| shown(field.fate(upstream))).collect()
}

fn mistakes(page: &mut String, head: &str, list: &[Mistake]) {
    writeln!(page, "\n### {head}\n\n| # | mistake | tests |\n|--:|---|---|").unwrap();
    for mistake in list {
        let tests: Vec<String> = mistake.tests.iter().map(|(file, name)| format!("`{name}` ({file})")).collect();
        writeln!(page, "| {} | {} | {} |", mistake.number, mistake.what, tests.join("<br>")).unwrap();
    }
}
