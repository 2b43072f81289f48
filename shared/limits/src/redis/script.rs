//! The scripts that run in Redis, and what is said to them.

use crate::ask::{Ask, Key, Said};
use crate::gcra::MOST_WINDOWS;
use crate::local::Answers;
use crate::shared::{Away, Change, Take};
use crate::upkeep::LEASE;

/// Takes what all asks want, or nothing.
pub(super) const TAKE: &str = include_str!("take.lua");
/// Makes later changes.
pub(super) const CHANGE: &str = include_str!("change.lua");

/// What a script is called with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) keys: Vec<String>,
    pub(super) arguments: Vec<String>,
}

impl Call {
    pub(super) fn take(take: &Take<'_>) -> Self {
        let mut call = Self::default();
        let floors = take.floors.iter().copied().chain(std::iter::repeat(0));
        for (ask, floor) in take.asks.iter().zip(floors) {
            let Ask { key, limit, cells } = ask;
            let shadow = u8::from(limit.is_shadow).to_string();
            call.keys.push(key.name());
            call.arguments.extend(match ask.pace() {
                Some(pace) => {
                    let (cost, room) = (pace.cost(*cells), pace.window_micros());
                    ["rate".to_owned(), shadow, cost.to_string(), room.to_string(), floor.to_string()]
                }
                None => ["runs".to_owned(), shadow, limit.count.to_string(), take.lease.to_string(), lease_micros()],
            });
        }
        call
    }

    pub(super) fn change(changes: &[Change]) -> Self {
        let mut call = Self::default();
        let none = || "0".to_owned();
        for change in changes {
            call.keys.push(change.key().name());
            call.arguments.extend(match change {
                Change::GiveBack(_, cost) => ["back".to_owned(), cost.to_string(), none()],
                Change::Charge(key, cost) => ["more".to_owned(), cost.to_string(), most(key).to_string()],
                Change::Raise(key, level) => ["least".to_owned(), level.to_string(), most(key).to_string()],
                Change::End(_, lease) => ["ends".to_owned(), lease.to_string(), none()],
                Change::Keep(_, lease) => ["runs".to_owned(), lease.to_string(), lease_micros()],
            });
        }
        call
    }
}

/// The highest level of a counter.
fn most(key: &Key) -> u64 {
    u64::from(key.window_secs) * 1_000_000 * MOST_WINDOWS
}

fn lease_micros() -> String {
    LEASE.as_micros().to_string()
}

/// Reads what [`TAKE`] answered to so many asks.
pub(super) fn read(answer: &[i64], asks: usize) -> Result<(bool, Answers), Away> {
    let unreadable = Away("their answer is not one");
    let (taken, said) = answer.split_first().ok_or(unreadable.clone())?;
    let mut answers = Answers::new();
    for pair in said.chunks(2) {
        let [fits, level] = pair else { return Err(unreadable) };
        answers.push(Said { fits: *fits == 1, level: u64::try_from(*level).map_err(|_| unreadable.clone())? });
    }
    if answers.len() == asks { Ok((*taken == 1, answers)) } else { Err(unreadable) }
}
