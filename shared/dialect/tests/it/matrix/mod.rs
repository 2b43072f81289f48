//! Every caller's dialect at every upstream's, case by case, and the page that says so.
//!
//! What callers and providers say is written and read in [`chat`], [`responses`], [`messages`] and [`gemini`] by plain JSON over the public
//! shapes: none of it is the code it judges. A cell of the page is what its case gave.

mod cases;
mod chat;
mod fields;
mod gemini;
mod known;
mod messages;
mod mistakes;
mod page;
mod pair;
mod responses;
mod said;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use pair::{Pair, WITNESSES};

/// What came of a case: nothing, or what differs.
fn run(case: fn(Pair) -> pair::Checked, pair: Pair) -> pair::Checked {
    catch_unwind(AssertUnwindSafe(|| case(pair))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(text.unwrap_or_default())
    })
}

#[test]
fn every_case_works_between_every_two_dialects() {
    let mut wrong = Vec::new();
    for (name, case) in cases::CASES {
        for caller in &WITNESSES {
            for upstream in &WITNESSES {
                if let Err(difference) = run(case, Pair { caller, upstream }) {
                    wrong.push(format!("{name}, {} at {}: {difference}", caller.name, upstream.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_a_dialect_cannot_say_is_left_out_or_refused_as_the_rules_have_it() {
    let mut wrong = Vec::new();
    for field in fields::fields() {
        for (upstream, declared) in field.fates.into_iter().enumerate() {
            let really = field.fate(upstream);
            if really != declared {
                let (caller, upstream) = (WITNESSES[field.caller].name, WITNESSES[upstream].name);
                wrong
                    .push(format!("{} of {caller} at {upstream}: {really:?}, where {} has {declared:?}", field.name, field.rule));
            }
        }
    }
    assert!(wrong.is_empty(), "{} fields differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_page_of_dialects_is_up_to_date() {
    let text = page::page();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/dialects.md");
    #[expect(clippy::disallowed_methods, reason = "a switch of this test, not a setting")]
    if std::env::var("UPDATE").is_ok() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "docs/reference/dialects.md is out of date: UPDATE=1 cargo test -p sluice-dialect dialects");
}

#[test]
fn every_test_that_the_page_names_is_there() {
    assert_eq!(known::missing(), Vec::<String>::new());
    for (mistakes, count) in [(&known::CONVERSIONS[..], 19), (&known::PROVIDERS, 18), (&known::RELAY, 17)] {
        let numbers: Vec<u32> = mistakes.iter().map(|mistake| mistake.number).collect();
        assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "every mistake of a list has its tests");
        assert!(mistakes.iter().all(|mistake| !mistake.tests.is_empty()));
    }
}
