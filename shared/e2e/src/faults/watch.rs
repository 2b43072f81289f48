//! Looks at a figure of several processes again and again, while a row breaks them.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::fleet::figure_of;

/// What was seen of one process: when, and what; `None` while it did not answer.
pub(super) type Samples = Vec<(Duration, Option<f64>)>;

/// A running look-out.
pub(super) struct Watch {
    stop: CancellationToken,
    looking: JoinSet<(usize, Samples)>,
}

impl Watch {
    /// Looks at a metric at each of these ops ports, this often.
    pub(super) fn start(ops_urls: Vec<String>, metric: &'static str, every: Duration) -> Self {
        let (stop, mut looking, begun) = (CancellationToken::new(), JoinSet::new(), Instant::now());
        for (place, url) in ops_urls.into_iter().enumerate() {
            let stop = stop.clone();
            looking.spawn(async move {
                let mut samples = Vec::new();
                let mut ticks = tokio::time::interval(every);
                while !stop.is_cancelled() {
                    ticks.tick().await;
                    let seen = figure_of(&url, metric).await;
                    samples.push((begun.elapsed(), seen));
                }
                (place, samples)
            });
        }
        Self { stop, looking }
    }

    /// What was seen of each, in the order of the addresses.
    pub(super) async fn stop(self) -> Vec<Samples> {
        self.stop.cancel();
        let mut all = self.looking.join_all().await;
        all.sort_by_key(|(place, _)| *place);
        all.into_iter().map(|(_, samples)| samples).collect()
    }
}

/// The longest time in which a figure was like this without a break.
pub(super) fn longest(samples: &Samples, is_so: impl Fn(f64) -> bool) -> Duration {
    let (mut longest, mut since) = (Duration::ZERO, None);
    for (at, seen) in samples {
        if seen.is_some_and(&is_so) {
            let since = *since.get_or_insert(*at);
            longest = longest.max(at.saturating_sub(since));
        } else {
            since = None;
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_stretch_is_found() {
        let at = |millis, value| (Duration::from_millis(millis), value);
        let samples =
            vec![at(0, Some(1.0)), at(10, Some(0.0)), at(20, Some(0.0)), at(30, None), at(40, Some(0.0)), at(90, Some(0.0))];
        assert_eq!(longest(&samples, |value| value < 0.5), Duration::from_millis(50));
        assert_eq!(longest(&Vec::new(), |_| true), Duration::ZERO);
    }
}
