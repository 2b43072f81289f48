//! Panics: counted, and logged without what they may have seen.

use std::any::Any;
use std::backtrace::Backtrace;
use std::panic;

use tracing::error;

use crate::metrics::{Counter, Registry};

/// Characters of a panic message that are logged.
const MESSAGE_CHARS: usize = 200;

/// Declares the metric that panics are counted by.
pub fn declare(registry: &Registry) -> Counter {
    registry.counter("sluice_process_panics_total", "Panics that were caught.")
}

/// Logs every panic with its place and backtrace, and counts it.
pub fn install(registry: &Registry) {
    let panics = declare(registry);
    panic::set_hook(Box::new(move |info| {
        panics.increment();
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let message = safe_message(info.payload());
        let thread = std::thread::current();
        let backtrace = Backtrace::force_capture();
        error!(
            panic.place = place,
            panic.thread = thread.name().unwrap_or("unnamed"),
            panic.backtrace = %backtrace,
            "panicked at {place}: {message}"
        );
    }));
}

/// What may be told of a panic's message. Formatted ones can quote data (slicing a `str` off a character boundary quotes the `str`,
/// which may be a prompt), so they are cut at the first quotation mark.
fn safe_message(payload: &(dyn Any + Send)) -> String {
    if let Some(literal) = payload.downcast_ref::<&'static str>() {
        return (*literal).chars().take(MESSAGE_CHARS).collect();
    }
    let Some(formatted) = payload.downcast_ref::<String>() else {
        return "(no message)".to_owned();
    };
    let unquoted = formatted.split(['`', '"', '\'', '\n']).next().unwrap_or_default();
    let mut told: String = unquoted.chars().take(MESSAGE_CHARS).collect();
    if told.len() < formatted.len() {
        told.push_str("(cut)");
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_of(work: impl FnOnce() + panic::UnwindSafe) -> String {
        safe_message(&*panic::catch_unwind(work).unwrap_err())
    }

    #[test]
    fn a_panic_over_a_text_does_not_quote_it() {
        let prompt = "é my secret prompt".to_owned();
        let message = message_of(move || assert!(!prompt[1..].is_empty()));
        assert!(!message.contains("prompt"), "{message}");
        assert!(message.ends_with("(cut)"), "{message}");
    }

    #[test]
    fn a_literal_message_is_told_whole() {
        assert_eq!(message_of(|| panic!("don't")), "don't");
        assert_eq!(message_of(|| panic::panic_any(7_u8)), "(no message)");
    }

    #[test]
    fn numbers_are_told() {
        let list = std::hint::black_box(vec![1, 2]);
        let message = message_of(move || assert_eq!(list[list.len()], 0));
        assert_eq!(message, "index out of bounds: the len is 2 but the index is 2");
    }
}
