//! One pass after the other over all accounts, in slices.

use std::time::{Duration, Instant};

use sea_orm::DbErr;
use sluice_domain::{AccountId, UnixMillis};
use tracing::error;

use super::{MOST_NAMED, Off, Pass, store};
use crate::jobs::leader::Work;
use crate::jobs::slices::Slices;
use crate::wallet::audit::{self, Imbalance};

/// A pass is not begun sooner after the beginning of the last, in milliseconds.
const PASS_EVERY_MILLIS: i64 = 60_000;
/// How long one step may take: jobs come after everything else.
const STEP: Duration = Duration::from_millis(500);

/// Looks through all accounts again and again. What it knows of a pass is lost with the process; the next one begins anew.
#[derive(Debug)]
pub struct Reconciler {
    slices: Slices,
    pass: Option<(Pass, AccountId)>,
    next_at: UnixMillis,
}

impl Default for Reconciler {
    fn default() -> Self {
        Self { slices: Slices::new(200), pass: None, next_at: UnixMillis(i64::MIN) }
    }
}

impl Reconciler {
    /// Goes on for a while. Answers the pass if it is through.
    ///
    /// # Errors
    /// When the database refuses or is away, or another replica runs the jobs by now. It goes on where it was.
    pub async fn step(&mut self, work: &Work, now: UnixMillis) -> Result<Option<Pass>, DbErr> {
        if self.pass.is_none() {
            if now < self.next_at {
                return Ok(None);
            }
            self.next_at = now.plus_millis(PASS_EVERY_MILLIS);
            self.pass = Some((Pass { began_at: now.0, ..Pass::default() }, AccountId::new(0)));
        }
        let begun = Instant::now();
        while begun.elapsed() < STEP {
            if self.slice(work, now).await? {
                return self.end(work, now).await.map(Some);
            }
        }
        Ok(None)
    }

    /// Looks at some accounts. `true`: there are no more.
    async fn slice(&mut self, work: &Work, now: UnixMillis) -> Result<bool, DbErr> {
        let Some((pass, last)) = &mut self.pass else { return Ok(true) };
        let begun = Instant::now();
        let found = audit::checked(work.db().read(), *last, self.slices.size()).await?;
        self.slices.took(begun.elapsed());
        for off in &found.off {
            tell(off);
            pass.accounts_off += 1;
            pass.imbalance = pass.imbalance.saturating_add(off.amount());
            if pass.off.len() < MOST_NAMED {
                pass.off.push(Off::from(*off));
            }
        }
        for account in found.grown {
            let tx = work.begin().await?;
            audit::note(&tx, account, now).await?;
            tx.commit().await?;
        }
        pass.accounts += found.accounts;
        let Some(newest) = found.last else { return Ok(true) };
        *last = newest;
        Ok(false)
    }

    async fn end(&mut self, work: &Work, now: UnixMillis) -> Result<Pass, DbErr> {
        let mut pass = self.pass.take().map_or_else(Pass::default, |(pass, _)| pass);
        pass.ended_at = now.0;
        let tx = work.begin().await?;
        store::write(&tx, &pass).await?;
        tx.commit().await?;
        Ok(pass)
    }
}

fn tell(off: &Imbalance) {
    let Imbalance { account, ledger, total, leased, in_doubt, spent } = off;
    error!(
        account.id = %account,
        ledger, total, leased = leased.0, leased.by_leases = leased.1, in_doubt = in_doubt.0, in_doubt.by_leases = in_doubt.1,
        spent = spent.0, spent.by_ledger = spent.1,
        "account {account} does not add up: its ledger says {ledger}, it holds {total}; leased {} and {} by its leases; \
         in doubt {} and {} by its leases; spent {} and {} by its ledger",
        leased.0, leased.1, in_doubt.0, in_doubt.1, spent.0, spent.1
    );
}
