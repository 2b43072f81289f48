//! Who may write next on SQLite, which has one writer: grants before settlement before people before jobs.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How urgent a writing transaction is where there is one writer. Elsewhere it means nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A relay waits for money, and behind it a caller.
    Grant,
    /// Usage to settle.
    Settle,
    /// A person or a script.
    #[default]
    Admin,
    /// Whatever runs by itself, in short slices.
    Job,
}

const LEVELS: usize = 4;

#[derive(Debug, Default)]
struct State {
    is_taken: bool,
    waiting: [VecDeque<oneshot::Sender<Turn>>; LEVELS],
}

/// A lock with an order of precedence. Clones are the same lock.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<Mutex<State>>);

/// The turn to write; the next one's begins when it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Option<Gate>);

impl Gate {
    /// Waits for a turn. `None` when the gate is gone, which does not happen while somebody holds it.
    pub(super) async fn turn(&self, urgency: Urgency) -> Option<Turn> {
        let waiting = {
            let mut state = self.0.lock();
            if !state.is_taken {
                state.is_taken = true;
                return Some(Turn(Some(self.clone())));
            }
            let (sender, receiver) = oneshot::channel();
            if let Some(queue) = state.waiting.get_mut(urgency as usize) {
                queue.push_back(sender);
            }
            receiver
        };
        waiting.await.ok()
    }

    /// Hands the turn to the most urgent that still waits.
    fn pass_on(&self) {
        loop {
            let next = {
                let mut state = self.0.lock();
                let next = state.waiting.iter_mut().find_map(VecDeque::pop_front);
                state.is_taken = next.is_some();
                next
            };
            let Some(next) = next else { return };
            match next.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                // gave up waiting; its turn must not pass itself on from here
                Err(mut unwanted) => unwanted.0 = None,
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_most_urgent_goes_first_and_equals_go_in_order() {
        let gate = Gate::default();
        let held = gate.turn(Urgency::Job).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for (name, urgency) in [
            ("job", Urgency::Job),
            ("admin", Urgency::Admin),
            ("first grant", Urgency::Grant),
            ("settle", Urgency::Settle),
            ("second grant", Urgency::Grant),
        ] {
            let (gate, order) = (gate.clone(), order.clone());
            tasks.spawn(async move {
                let _turn = gate.turn(urgency).await.unwrap();
                order.lock().push(name);
            });
            tokio::task::yield_now().await;
        }
        drop(held);
        tasks.join_all().await;
        assert_eq!(*order.lock(), ["first grant", "second grant", "settle", "admin", "job"]);
    }

    #[tokio::test]
    async fn who_gave_up_waiting_does_not_hold_up_the_others() {
        let gate = Gate::default();
        let held = gate.turn(Urgency::Admin).await.unwrap();
        let gone = tokio::time::timeout(std::time::Duration::ZERO, gate.turn(Urgency::Grant)).await;
        assert!(gone.is_err());
        drop(held);
        assert!(tokio::time::timeout(std::time::Duration::from_secs(10), gate.turn(Urgency::Job)).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_turn_handed_to_somebody_who_left_at_that_moment_is_passed_on() {
        let gate = Gate::default();
        let held = gate.turn(Urgency::Admin).await.unwrap();
        let mut waiting = Box::pin(gate.turn(Urgency::Grant));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(held); // the turn lies in the channel now
        drop(waiting);
        assert!(tokio::time::timeout(std::time::Duration::from_secs(10), gate.turn(Urgency::Job)).await.unwrap().is_some());
    }
}
