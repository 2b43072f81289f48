//! What a row measured, and how it stands beside what is expected.

use std::fmt::Display;
use std::time::Duration;

use serde::Serialize;

/// What two runs of the same load differ by on a machine of two cores that does other things. Every bar it is added to says so.
pub const JITTER: Duration = Duration::from_millis(5);

/// How a figure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Standing {
    /// As expected.
    Pass,
    /// Not as expected.
    Fail,
    /// Said for people; nothing is expected of it.
    Note,
    /// There is nothing that could be tried.
    NotApplicable,
}

impl Standing {
    /// Its word in the table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "**FAIL**",
            Self::Note => "",
            Self::NotApplicable => "n/a",
        }
    }
}

/// One figure of a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// What is expected.
    pub expected: String,
    /// What was found.
    pub measured: String,
    /// How it stands.
    pub standing: Standing,
    /// Of a time, how many times as long as expected it was. A busy machine makes everything slow, and nothing wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times_expected: Option<f64>,
}

impl Figure {
    fn judged(what: impl Into<String>, expected: String, measured: String, is_good: bool) -> Self {
        let standing = if is_good { Standing::Pass } else { Standing::Fail };
        Self { what: what.into(), expected, measured, standing, times_expected: None }
    }

    /// Whether it is as expected when every time may be so many times as long.
    #[must_use]
    pub fn stands_with_patience(&self, times: f64) -> bool {
        self.standing != Standing::Fail || self.times_expected.is_some_and(|longer| longer <= times)
    }

    /// Exactly this.
    pub fn exactly<T: PartialEq + Display + Copy>(what: impl Into<String>, expected: T, measured: T) -> Self {
        let is_good = expected == measured;
        Self::judged(what, expected.to_string(), measured.to_string(), is_good)
    }

    /// None of what must not happen; of what did, the first few.
    pub fn none(what: impl Into<String>, offenders: &[impl Display]) -> Self {
        let first: Vec<String> = offenders.iter().take(3).map(ToString::to_string).collect();
        let measured = if first.is_empty() { "0".to_owned() } else { format!("{}: {}", offenders.len(), first.join(", ")) };
        Self::judged(what, "0".to_owned(), measured, offenders.is_empty())
    }

    /// So many at the most.
    pub fn at_most<T: PartialOrd + Display + Copy>(what: impl Into<String>, most: T, measured: T) -> Self {
        let is_good = measured <= most;
        Self::judged(what, format!("≤ {most}"), measured.to_string(), is_good)
    }

    /// So many at the least.
    pub fn at_least<T: PartialOrd + Display + Copy>(what: impl Into<String>, least: T, measured: T) -> Self {
        let is_good = measured >= least;
        Self::judged(what, format!("≥ {least}"), measured.to_string(), is_good)
    }

    /// A time that may not be longer. `None`: it did not happen at all.
    pub fn within(what: impl Into<String>, most: Duration, measured: Option<Duration>) -> Self {
        let text = measured.map_or_else(|| "not in time".to_owned(), seconds);
        let times_expected = measured.map(|measured| measured.as_secs_f64() / most.as_secs_f64().max(f64::EPSILON));
        let is_good = measured.is_some_and(|measured| measured <= most);
        Self { times_expected, ..Self::judged(what, format!("≤ {}", seconds(most)), text, is_good) }
    }

    /// A time that may be longer than another one by this much, and by what small machines are off by.
    pub fn beside(what: impl Into<String>, (alone, added): (Duration, Duration), measured: Duration) -> Self {
        let most = alone + added + JITTER;
        let parts = format!("{} alone + {} + {} of jitter", seconds(alone), seconds(added), seconds(JITTER));
        Self { expected: format!("≤ {}: {parts}", seconds(most)), ..Self::within(what, most, Some(measured)) }
    }

    /// A share of all, in percent, with the numbers behind it. Of nothing there is no good share.
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn share(what: impl Into<String>, least_percent: f64, (good, all): (usize, usize)) -> Self {
        let percent = if all == 0 { 0.0 } else { good as f64 * 100.0 / all as f64 };
        let expected = if least_percent >= 100.0 { "100 %".to_owned() } else { format!("≥ {least_percent} %") };
        Self::judged(what, expected, format!("{percent:.2} % ({good} of {all})"), all > 0 && percent >= least_percent)
    }

    /// A claim.
    pub fn claim(what: impl Into<String>, expected: impl Into<String>, measured: impl Into<String>, is_true: bool) -> Self {
        Self::judged(what, expected.into(), measured.into(), is_true)
    }

    /// Something for people.
    pub fn note(what: impl Into<String>, measured: impl Into<String>) -> Self {
        let judged = Self::judged(what, String::new(), measured.into(), true);
        Self { standing: Standing::Note, ..judged }
    }

    /// Something that cannot be tried, and why.
    pub fn not_applicable(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { standing: Standing::NotApplicable, ..Self::note(what, why) }
    }
}

/// Seconds for people.
#[must_use]
pub fn seconds(time: Duration) -> String {
    let secs = time.as_secs_f64();
    if secs < 1.0 { format!("{secs:.3} s") } else { format!("{secs:.2} s") }
}

/// What a row found.
#[derive(Debug, Clone, Serialize)]
pub struct RowReport {
    /// Its number in the matrix.
    pub row: String,
    /// The fault.
    pub fault: String,
    /// The database.
    pub engine: String,
    /// How long it took, in seconds.
    pub lasted_secs: f64,
    /// Its figures.
    pub figures: Vec<Figure>,
}

impl RowReport {
    /// As expected when every figure is, and there is one. A row that was not tried says so and nothing else.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let has = |standing| self.figures.iter().any(|figure| figure.standing == standing);
        if has(Standing::Fail) {
            Standing::Fail
        } else if has(Standing::Pass) {
            Standing::Pass
        } else if has(Standing::NotApplicable) {
            Standing::NotApplicable
        } else {
            Standing::Fail
        }
    }

    /// Whether every figure is as expected, and there is one.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.standing() == Standing::Pass
    }
}

/// The one table: fault, expected figure, measured figure, PASS or FAIL.
#[must_use]
pub fn table(reports: &[RowReport]) -> String {
    let mut lines =
        vec!["| # | database | fault | figure | expected | measured | |".to_owned(), "|--:|---|---|---|---|---|---|".to_owned()];
    for report in reports {
        for (place, figure) in report.figures.iter().enumerate() {
            let (row, engine, fault) =
                if place == 0 { (report.row.as_str(), report.engine.as_str(), report.fault.as_str()) } else { ("", "", "") };
            let cells = [row, engine, fault, &figure.what, &figure.expected, &figure.measured, figure.standing.word()];
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
            lines.push(format!("| {} |", cells.join(" | ")));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(figures: Vec<Figure>) -> RowReport {
        RowReport { row: "1".into(), fault: "x".into(), engine: "sqlite".into(), lasted_secs: 1.0, figures }
    }

    #[test]
    fn figures_at_their_limit_pass_and_beyond_it_fail() {
        let good = [
            Figure::at_most("a", 2, 2),
            Figure::at_least("a", 2, 2),
            Figure::exactly("a", 2, 2),
            Figure::none("a", &Vec::<String>::new()),
            Figure::within("a", Duration::from_secs(1), Some(Duration::from_secs(1))),
            Figure::share("a", 99.9, (999, 1_000)),
        ];
        assert!(good.iter().all(|figure| figure.standing == Standing::Pass), "{good:?}");
        let bad = [
            Figure::at_most("a", 2, 3),
            Figure::at_least("a", 2, 1),
            Figure::exactly("a", 2, 3),
            Figure::none("a", &["one"]),
            Figure::within("a", Duration::from_secs(1), Some(Duration::from_millis(1_001))),
            Figure::within("a", Duration::from_secs(1), None),
            Figure::share("a", 99.9, (998, 1_000)),
            Figure::share("a", 0.0, (0, 0)),
        ];
        assert!(bad.iter().all(|figure| figure.standing == Standing::Fail), "{bad:?}");
    }

    #[test]
    fn patience_is_for_times_only() {
        let slow = Figure::within("a", Duration::from_secs(1), Some(Duration::from_secs(3)));
        assert!(slow.stands_with_patience(3.0) && !slow.stands_with_patience(2.9));
        assert!(!Figure::within("a", Duration::from_secs(1), None).stands_with_patience(1e9), "it never happened");
        assert!(!Figure::at_most("a", 1, 2).stands_with_patience(1e9), "a count is a count");
    }

    #[test]
    fn a_bar_beside_another_figure_says_what_it_is_made_of() {
        let millis = Duration::from_millis;
        let good = Figure::beside("a", (millis(70), millis(1)), millis(76));
        assert_eq!(
            (good.standing, good.expected.as_str()),
            (Standing::Pass, "≤ 0.076 s: 0.070 s alone + 0.001 s + 0.005 s of jitter")
        );
        assert_eq!(Figure::beside("a", (millis(70), millis(1)), millis(77)).standing, Standing::Fail);
    }

    #[test]
    fn a_row_that_was_not_tried_has_neither_passed_nor_failed() {
        let absent = Figure::not_applicable("a", "b");
        assert_eq!(report(vec![absent.clone()]).standing(), Standing::NotApplicable);
        assert_eq!(report(vec![absent, Figure::exactly("a", 1, 2)]).standing(), Standing::Fail);
        assert_eq!(report(Vec::new()).standing(), Standing::Fail);
    }

    #[test]
    fn a_row_passes_by_figures_that_can_fail_only() {
        let (good, note) = (Figure::exactly("a", 1, 1), Figure::note("a", "b"));
        assert!(report(vec![good.clone(), note.clone()]).has_passed());
        assert!(!report(vec![note]).has_passed(), "nothing was judged");
        assert!(!report(vec![good, Figure::exactly("a", 1, 2)]).has_passed());
    }
}
