//! A log that recovery added to, or whose cursor is lost: the control plane knows what of it was settled, and is asked first.

use sluice_domain::Epoch;

use super::stream::Verdict;
use super::{BATCH_INTERVAL, Reporter, Trouble};
use crate::link::session::{Call, SessionError};
use crate::spool::EarlierLog;

/// A place before which nothing is: a report of nothing from here on is never ahead of what was settled.
const BEGINNING: u64 = 1;

impl Reporter<'_> {
    /// Makes a log fit what the control plane settled of it, before anything of it is told.
    pub(super) async fn ask_first(&mut self, log: EarlierLog) -> Result<EarlierLog, Trouble> {
        if !log.must_ask() {
            return Ok(log);
        }
        let below = self.settled_below(log.epoch()).await?;
        let mended = tokio::task::spawn_blocking(move || {
            let mut log = log;
            log.settled_below(below).map(|()| log)
        });
        Ok(mended.await.map_err(|_| SessionError::Closed(Call::Usage))??)
    }

    async fn settled_below(&mut self, epoch: Epoch) -> Result<u64, SessionError> {
        loop {
            self.stream.look(epoch, BEGINNING, "").await?;
            match self.stream.verdict(epoch).await? {
                Verdict::Acked(below, _) => return Ok(below),
                // its database is away
                Verdict::Expect(_) => tokio::time::sleep(BATCH_INTERVAL).await,
            }
        }
    }
}
