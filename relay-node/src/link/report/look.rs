//! Whether the database went back to the past: asked by saying how far it had settled.
//!
//! What is asked about is the record that was acknowledged last. Whatever comes before it was committed earlier, so nothing older can be
//! missing when it is there.

use sluice_domain::Epoch;
use tracing::error;

use super::stream::Verdict;
use super::{Reporter, Trouble};
use crate::link::session::SessionError;
use crate::spool::{CurrentLog, EarlierLog};

impl Reporter<'_> {
    /// Whether the control plane still has what was acknowledged last.
    pub(super) async fn look_back(&mut self) -> Result<(), SessionError> {
        let current = self.parts.spool.current();
        let own = (current.epoch(), current.acked_below());
        let last = if own.1 > 1 { Some(own) } else { self.last_ended() };
        if let Some((epoch, place)) = last {
            self.parts.starts_over = self.has_lost(epoch, place).await?;
        }
        Ok(())
    }

    /// The same for the life before: while nothing of this one is acknowledged, and once more when it is for the first time. From there on its
    /// own records are asked about, and the database may have gone back between.
    pub(super) async fn look_at_the_last_ended(&mut self) -> Result<(), Trouble> {
        let Some((epoch, place)) = self.last_ended() else { return Ok(()) };
        if self.has_lost(epoch, place).await? { Err(Trouble::WentBack) } else { Ok(()) }
    }

    /// Says nothing, to hear where the control plane is.
    pub(super) async fn look(&mut self, log: CurrentLog) -> Result<CurrentLog, Trouble> {
        let place = log.acked_below();
        if place <= 1 {
            self.look_at_the_last_ended().await?;
            return Ok(log);
        }
        self.say_settled(log.epoch(), place).await?;
        match self.stream.verdict(log.epoch()).await? {
            Verdict::Acked(..) => Ok(log),
            Verdict::Expect(seq) => self.go_back(log, seq).await,
        }
    }

    /// The newest earlier life that is kept, and its end. One that is not at its end is reported anyway.
    fn last_ended(&self) -> Option<(Epoch, u64)> {
        let last = self.parts.spool.retained().pop().filter(EarlierLog::has_ended)?;
        (last.end_seq() > 1).then(|| (last.epoch(), last.end_seq()))
    }

    async fn has_lost(&mut self, epoch: Epoch, place: u64) -> Result<bool, SessionError> {
        self.say_settled(epoch, place).await?;
        let Verdict::Expect(seq) = self.stream.verdict(epoch).await? else { return Ok(false) };
        self.stream.begin_anew();
        Ok(self.has_gone_back(epoch, seq, place))
    }

    /// Says how far an epoch is settled in the history that stands beside the spool, which another one knows nothing of.
    async fn say_settled(&mut self, epoch: Epoch, place: u64) -> Result<(), SessionError> {
        let history = self.parts.spool.history();
        self.stream.look(epoch, place, history.as_deref().unwrap_or_default()).await
    }

    /// Whether a record that is asked for was acknowledged: then the database went back to the past.
    pub(super) fn has_gone_back(&self, epoch: Epoch, seq: u64, acked_below: u64) -> bool {
        if seq >= acked_below || self.parts.starts_over {
            return false;
        }
        self.parts.metrics.rollbacks.increment();
        error!(
            node.epoch = epoch.0,
            "the control plane asks for records of epoch {epoch} from {seq} on, everything below {acked_below} was settled: its database went \
             back to the past; all usage that is kept is reported again"
        );
        true
    }
}
