//! Following a stream: its output uses up what is held for, and more is set aside in time, or it has to end.

use sluice_billing::{HoldCost, PriceError, Surcharge, standing_surcharge};
use sluice_domain::Quota;

use super::Bill;
use crate::error::{Kind, Refusal};
use crate::hold::{self, Follow};

impl Bill {
    /// Whether the output so far uses up what is held for. Before more of it is read, [`Bill::extend`].
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.follow.as_ref().is_some_and(|follow| follow.window.is_used_up(self.tally.output_estimate()))
    }

    /// Holds for more output when what is held for comes near its end and more is at hand; else asks for it, so that nobody has to wait
    /// when it is used up.
    pub fn look_ahead(&mut self) {
        let output = self.tally.output_estimate();
        let Some(follow) = self.follow.as_ref().filter(|follow| follow.window.is_nearly_used_up(output)) else { return };
        let (next, has_wished) = (follow.window.next(output), follow.has_wished);
        let (Ok(more), Some(unsettled)) = (self.more_for(next.covered()), &mut self.unsettled) else { return };
        let is_here = unsettled.reservation.try_extend(more);
        if !is_here && !has_wished {
            unsettled.reservation.wish(more);
        }
        if let Some(follow) = &mut self.follow {
            follow.has_wished = !is_here;
            follow.window = if is_here { next } else { follow.window };
        }
    }

    /// Holds for more output, after a grant if need be: as far as the account pays for.
    ///
    /// # Errors
    /// When it does not pay for any more, or nobody can say in time. The answer has to end here.
    pub async fn extend(&mut self) -> Result<(), Refusal> {
        let output = self.tally.output_estimate();
        let Some(follow) = self.follow.clone().filter(|follow| follow.window.is_used_up(output)) else { return Ok(()) };
        let next = follow.window.next(output);
        let refuse = |error| hold::refusal(error, &follow.token);
        let beyond_all = |_| Refusal::new(Kind::UserQuota, "no balance covers the answer");
        let (least, more) = (self.more_for(output + 1).map_err(beyond_all)?, self.more_for(next.covered()).map_err(beyond_all)?);
        let Some(unsettled) = &mut self.unsettled else { return Ok(()) };
        // to the last unit: what is left may still cover a part
        let covered = if unsettled.reservation.extend_as_far_as_there_is(least, more).await.map_err(refuse)? == more {
            next.covered()
        } else {
            let held = unsettled.reservation.held();
            self.hold_cost(self.surcharge().as_slice(), follow.least_prompt).affordable(held, next.covered())
        };
        self.follow = Some(Follow { window: next.covering(covered), has_wished: false, ..follow });
        Ok(())
    }

    /// What has to be set aside beyond what is, to hold for so much output.
    fn more_for(&self, output: u64) -> Result<Quota, PriceError> {
        let (Some(follow), Some(unsettled)) = (&self.follow, &self.unsettled) else { return Ok(Quota::ZERO) };
        let cost = self.hold_cost(self.surcharge().as_slice(), follow.least_prompt).of(output)?;
        Ok(cost.saturating_minus(unsettled.reservation.held()).max(Quota::ZERO))
    }

    fn hold_cost<'a>(&'a self, surcharges: &'a [Surcharge], least_prompt: u64) -> HoldCost<'a> {
        HoldCost { rate: &self.rate, prompt: self.prompt, least_prompt, surcharges }
    }

    /// What the request costs beside its usage.
    fn surcharge(&self) -> Option<Surcharge> {
        let record = &self.unsettled.as_ref()?.record;
        standing_surcharge(&record.path, record.model.as_str())
    }
}
