//! A stream that is followed by a window: more is set aside before it is used up, as `meter/bill/follow.rs` and `quota` do.

use sluice_billing::lease::{Claim, Shortage};
use sluice_domain::Quota;

use super::super::Mutant;
use super::super::world::{Event, World};
use super::Extending;
use super::request::{GRANT_WAIT, charges_of};

impl World {
    /// Sets more aside for a request under way, if it needs that; asks for it when it is not here.
    pub(super) fn extend(&mut self, number: usize, life: u64, request: u64) {
        let Some(live) = self.live(number, life) else { return };
        let Some(running) = live.running.get(&request) else { return };
        let more = (running.wish.total / 3 + 1).min(running.wish.total - running.held);
        if running.wish.is_windowed && more > 0 && running.extending.is_none() {
            self.extend_by(number, life, request, more);
        }
    }

    fn extend_by(&mut self, number: usize, life: u64, request: u64, more: i64) {
        let now = self.boot(number);
        let Some(live) = self.live(number, life) else { return };
        let Some(running) = live.running.get_mut(&request) else { return };
        let claims: Vec<Claim> = running.wish.in_quota(more).collect();
        let before = running.reservation.parts().count();
        let Err(Shortage { accounts }) = live.book.extend(&mut running.reservation, &claims, now) else {
            return self.extended(number, life, request, (more, before));
        };
        let missing = accounts.to_vec();
        if let Some(refusal) = self.refusal(&missing, &claims) {
            self.refuse(number, request, refusal);
            return self.cut_short(number, life, request);
        }
        let at = self.now;
        let Some(live) = self.live(number, life) else { return };
        let Some(running) = live.running.get_mut(&request) else { return };
        if running.extending.is_none() {
            running.extending = Some(Extending { waiter: live.book.wait(&claims), more, since: at });
            self.after(600, Event::ExtendAgain { relay: number, life, request });
        }
        self.ask_for(number, life, &missing);
    }

    /// More is set aside, in the parts of the reservation that come after so many; whoever dies here is charged on all of them, and nobody
    /// else may spend them.
    fn extended(&mut self, number: usize, life: u64, request: u64, (more, before): (i64, usize)) {
        let notes = !self.has(Mutant::HoldNotNoted);
        let Some(live) = self.live(number, life) else { return };
        let Some(running) = live.running.get_mut(&request) else { return };
        running.held += more;
        if let Some(extending) = running.extending.take() {
            live.book.stop_waiting(extending.waiter);
        }
        // what was set aside before stays, whatever has become of its leases
        let parts: Vec<_> = running.reservation.parts().skip(before).collect();
        if let Some(open) = running.open.as_ref().filter(|_| notes) {
            live.spool.note_hold(open.number(), Quota::clamped(running.held), charges_of(&running.reservation));
        }
        self.counts.extended += 1;
        self.tell(|| format!("relay {number} sets {more} more aside for request {request}"));
        self.check_reserved(number, &parts);
    }

    /// A request that waits for more looks again, or has waited long enough.
    pub(in super::super) fn extend_again(&mut self, number: usize, life: u64, request: u64) {
        let now = self.now;
        let Some(live) = self.live(number, life) else { return };
        let Some(running) = live.running.get(&request) else { return };
        let Some((more, since)) = running.extending.as_ref().map(|extending| (extending.more, extending.since)) else { return };
        if now - since >= GRANT_WAIT {
            return self.cut_short(number, life, request);
        }
        self.extend_by(number, life, request, more);
        self.after(600, Event::ExtendAgain { relay: number, life, request });
    }

    /// Something of its accounts changed.
    pub(super) fn extend_now(&mut self, number: usize, life: u64, request: u64) {
        let Some(live) = self.live(number, life) else { return };
        let more = live.running.get(&request).and_then(|running| Some(running.extending.as_ref()?.more));
        if let Some(more) = more {
            self.extend_by(number, life, request, more);
        }
    }

    /// There is no more, or nobody can say: the stream ends with an error in it, and costs what it has brought.
    fn cut_short(&mut self, number: usize, life: u64, request: u64) {
        let Some(live) = self.live(number, life) else { return };
        let Some(running) = live.running.get_mut(&request) else { return };
        running.wish.total = running.output;
        self.tell(|| format!("relay {number} ends request {request} where its money ends"));
        self.finish(number, life, request);
    }
}
