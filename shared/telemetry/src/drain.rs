//! The way down: first unready, so that traffic goes elsewhere; then closing, so that nothing is accepted any more.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Tells every part of a process how far it is on its way down. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    leaving: CancellationToken,
    closing: CancellationToken,
}

impl Drain {
    /// A process that is up.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins: probes answer "not ready", work goes on.
    pub fn leave(&self) {
        self.leaving.cancel();
    }

    /// Goes on: nothing is accepted any more, loops end, what is in flight is finished.
    pub fn close(&self) {
        self.leaving.cancel();
        self.closing.cancel();
    }

    /// Leaves, gives load balancers `notice` to see it, then closes. Asking again during the notice ends it at once.
    pub async fn leave_then_close(&self, notice: Duration) {
        self.leave();
        tokio::select! {
            () = tokio::time::sleep(notice) => {}
            () = self.closing.cancelled() => {}
        }
        self.close();
    }

    /// Whether the way down has begun.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled()
    }

    /// Whether nothing is accepted any more.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Waits until the way down begins.
    pub async fn leaving(&self) {
        self.leaving.cancelled().await;
    }

    /// Waits until nothing is accepted any more. The future owns what it needs, for `with_graceful_shutdown`.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + 'static {
        self.closing.clone().cancelled_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn leaving_comes_before_closing() {
        let drain = Drain::new();
        assert!(!drain.is_leaving() && !drain.is_closing());
        drain.leave();
        drain.leaving().await;
        assert!(drain.is_leaving() && !drain.is_closing());
        drain.leave_then_close(Duration::ZERO).await;
        drain.closing().await;
        assert!(drain.is_closing());
    }

    #[tokio::test]
    async fn closing_cuts_the_notice_short() {
        let drain = Drain::new();
        let waiting = drain.clone();
        tokio::join!(waiting.leave_then_close(Duration::from_hours(1)), async { drain.close() });
        assert!(drain.is_closing());
    }
}
