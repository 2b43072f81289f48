//! What a metric is, and the rules its declaration keeps.

/// What a metric does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Sorts values into buckets.
    Histogram,
}

impl Kind {
    /// The word used by Prometheus and in the reference.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One line of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Declaration {
    /// `sluice_<relay|control|process>_<what>_<unit>[_total]`.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// One sentence for people.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

/// Labels that would grow without bound or name a person.
const FORBIDDEN_LABELS: &[&str] =
    &["user", "user_id", "token", "token_id", "key", "request", "request_id", "path", "url", "ip", "address", "email"];
/// Units that are not base units.
const FORBIDDEN_UNITS: &[&str] =
    &["ms", "millis", "milliseconds", "us", "micros", "minutes", "hours", "kb", "mb", "kib", "mib", "percent"];

impl Declaration {
    /// What its values count or measure in, read off the end of its name: a base unit, or `count` for numbers of things.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        let bare = self.name.strip_suffix("_total").unwrap_or(self.name);
        match bare.rsplit('_').next().unwrap_or_default() {
            "seconds" => "seconds",
            "bytes" => "bytes",
            "tokens" => "tokens",
            "quota" => "quota units",
            "ratio" => "ratio",
            "seq" => "sequence number",
            "hash" => "hash",
            "connected" | "info" => "0 or 1",
            _ => "count",
        }
    }

    /// What is wrong with it, if anything.
    pub(super) fn problem(&self) -> Option<String> {
        let Self { name, kind, help, labels } = self;
        let bare = name.strip_suffix("_total").unwrap_or(name);
        let unit = bare.rsplit('_').next().unwrap_or_default();
        let is_plain =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !["sluice_relay_", "sluice_control_", "sluice_process_"].iter().any(|prefix| name.starts_with(prefix)) {
            return Some(format!("{name}: the name must start with sluice_relay_, sluice_control_ or sluice_process_"));
        }
        if !is_plain(name) {
            return Some(format!("{name}: the name must be of a-z, 0-9 and _"));
        }
        if (*kind == Kind::Counter) != name.ends_with("_total") {
            return Some(format!("{name}: counters, and only they, end in _total"));
        }
        if FORBIDDEN_UNITS.contains(&unit) {
            return Some(format!("{name}: {unit} is not a base unit (seconds, bytes, tokens, ratio)"));
        }
        if !help.ends_with('.') || help.len() < 10 {
            return Some(format!("{name}: the help must be a sentence"));
        }
        if let Some(label) = labels.iter().find(|label| !is_plain(label) || FORBIDDEN_LABELS.contains(*label)) {
            return Some(format!("{name}: the label {label} is not allowed"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Declaration = Declaration {
        name: "sluice_relay_added_seconds",
        kind: Kind::Histogram,
        help: "Time added by the relay.",
        labels: &["model"],
    };

    #[test]
    fn a_declaration_that_keeps_the_rules_has_no_problem() {
        assert_eq!(GOOD.problem(), None);
        assert_eq!(Declaration { name: "sluice_control_rows_total", kind: Kind::Counter, ..GOOD }.problem(), None);
    }

    #[test]
    fn the_unit_stands_at_the_end_of_the_name() {
        let unit = |name| Declaration { name, ..GOOD }.unit();
        assert_eq!(unit("sluice_relay_added_seconds"), "seconds");
        assert_eq!(unit("sluice_relay_charged_quota_total"), "quota units");
        assert_eq!(unit("sluice_relay_requests_total"), "count");
    }

    #[test]
    fn each_broken_rule_is_named() {
        let broken = [
            (Declaration { name: "requests_seconds", ..GOOD }, "must start with"),
            (Declaration { name: "sluice_relay_Added_seconds", ..GOOD }, "a-z"),
            (Declaration { kind: Kind::Counter, ..GOOD }, "_total"),
            (Declaration { name: "sluice_relay_rows_total", ..GOOD }, "_total"),
            (Declaration { name: "sluice_relay_added_ms", ..GOOD }, "base unit"),
            (Declaration { help: "", ..GOOD }, "sentence"),
            (Declaration { labels: &["user_id"], ..GOOD }, "user_id"),
        ];
        for (declaration, word) in broken {
            let problem = declaration.problem().unwrap();
            assert!(problem.contains(word), "{problem}");
        }
    }
}
