//! The site's time: the database server's, which all replicas share, carried on between looks by a clock that never steps.
//!
//! What one replica writes down (when a lease ends, when a request was settled) others go by, and the wall clocks of their machines may
//! differ, and step. The server's clock is the one that everybody sees. A process that has its database in a file is alone and needs
//! none of this.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sea_orm::sea_query::Query;
use sea_orm::{ConnectionTrait, DbErr};
use sluice_domain::{Clock, Now, UnixMillis};
use sluice_telemetry::drain::Drain;
use tracing::warn;

use super::{Db, now_millis};

/// How often the server is asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// An answer that takes longer says too little about when it was given.
const QUICK_MILLIS: u64 = 1_000;
/// A change of the server's clock, or a difference of this machine's, that somebody should hear of.
const STEP_MILLIS: i64 = 5_000;

/// Follows the clock of the database server. Cloning shares it.
#[derive(Debug, Clone)]
pub struct SiteTime {
    machine: Clock,
    /// The server's wall clock less this machine's clock since boot, in milliseconds.
    ahead: Arc<AtomicI64>,
}

impl SiteTime {
    /// Asks the server for the first time.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn of(db: &Db, machine: Clock) -> Result<Self, DbErr> {
        let (ahead, _) = look(db, &machine).await?;
        let beside = machine.read().wall.0.saturating_sub(wall_at(ahead, &machine));
        if beside.abs() >= STEP_MILLIS {
            warn!("this machine's clock is {} s beside the database server's, which counts", beside / 1_000);
        }
        Ok(Self { machine, ahead: Arc::new(AtomicI64::new(ahead)) })
    }

    /// The site's time, and the machine's clock since boot.
    #[must_use]
    pub fn clock(&self) -> Clock {
        let Self { machine, ahead } = self.clone();
        Clock::new(move || {
            let boot_millis = machine.read().boot_millis;
            let wall = ahead.load(Ordering::Relaxed).saturating_add(signed(boot_millis));
            Now { wall: UnixMillis(wall), boot_millis }
        })
    }

    /// Asks again and again until the process ends. While the server does not answer, time goes on as it was.
    pub async fn follow(self, db: Db, drain: Drain) {
        let closing = drain.closing();
        tokio::pin!(closing);
        loop {
            tokio::select! {
                () = &mut closing => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            // that the database is away is told elsewhere
            if let Ok((ahead, took)) = look(&db, &self.machine).await {
                self.adjust(ahead, took);
            }
        }
    }

    fn adjust(&self, ahead: i64, took_millis: u64) {
        if took_millis > QUICK_MILLIS {
            return;
        }
        let step = ahead.saturating_sub(self.ahead.swap(ahead, Ordering::Relaxed));
        if step.abs() >= STEP_MILLIS {
            warn!("the database server's clock stepped by {step} ms; the site's time steps with it");
        }
    }
}

/// The server's clock less ours since boot, and how long the answer took, in milliseconds.
async fn look(db: &Db, machine: &Clock) -> Result<(i64, u64), DbErr> {
    let db = db.read();
    let select = Query::select().expr_as(now_millis(db.get_database_backend()), "now").to_owned();
    let asked = machine.read().boot_millis;
    let row = db.query_one(&select).await?.ok_or_else(|| DbErr::RecordNotFound("the database's clock".to_owned()))?;
    let took = machine.read().boot_millis.saturating_sub(asked);
    let wall: i64 = row.try_get("", "now")?;
    Ok((wall.saturating_sub(signed(asked + took / 2)), took))
}

fn wall_at(ahead: i64, machine: &Clock) -> i64 {
    ahead.saturating_add(signed(machine.read().boot_millis))
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sites_time_goes_on_by_the_clock_that_never_steps() {
        let wall = Arc::new(AtomicI64::new(1_000_000));
        let boot = Arc::new(AtomicI64::new(500));
        let (read_wall, read_boot) = (Arc::clone(&wall), Arc::clone(&boot));
        let machine = Clock::new(move || Now {
            wall: UnixMillis(read_wall.load(Ordering::Relaxed)),
            boot_millis: read_boot.load(Ordering::Relaxed).unsigned_abs(),
        });
        let time = SiteTime { machine, ahead: Arc::new(AtomicI64::new(7_000_000)) };
        let clock = time.clock();
        assert_eq!(clock.wall(), UnixMillis(7_000_500));
        wall.fetch_add(3_600_000, Ordering::Relaxed);
        boot.fetch_add(20, Ordering::Relaxed);
        assert_eq!(clock.read(), Now { wall: UnixMillis(7_000_520), boot_millis: 520 });
        time.adjust(6_999_000, QUICK_MILLIS + 1);
        assert_eq!(clock.wall(), UnixMillis(7_000_520), "an answer that came late says nothing");
        time.adjust(6_999_000, 3);
        assert_eq!(clock.wall(), UnixMillis(6_999_520));
    }
}
