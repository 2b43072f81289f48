//! Which replica runs the jobs: a lease in the database, by the database's own clock, because the replicas' clocks may differ.

mod store;

use std::time::Duration;

use sea_orm::DbErr;

use crate::db::{Db, Urgency, retried};

/// How long the lease lasts; who leads renews it every few seconds.
pub const LASTS: Duration = Duration::from_secs(20);

/// A place in the queue of those who would lead.
#[derive(Debug, Clone)]
pub struct Leader {
    db: Db,
    name: &'static str,
    holder: String,
}

impl Leader {
    /// A candidate for the lease of this name. Holders are told apart by theirs.
    #[must_use]
    pub const fn new(db: Db, name: &'static str, holder: String) -> Self {
        Self { db, name, holder }
    }

    /// Takes the lease, or renews it. Whether we lead now.
    ///
    /// # Errors
    /// When the database is away: then nobody knows who leads.
    pub async fn lead(&self) -> Result<bool, DbErr> {
        retried(|| self.try_lead()).await
    }

    async fn try_lead(&self) -> Result<bool, DbErr> {
        let (name, holder) = (self.name, self.holder.as_str());
        let tx = self.db.begin_as(Urgency::Job).await?;
        let leads = store::renew(&tx, name, holder).await?
            || store::take_ended(&tx, name, holder).await?
            || store::take_first(&tx, name, holder).await?;
        tx.commit().await?;
        Ok(leads)
    }

    /// Gives the lease up, so that the next one need not wait for its end.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn step_down(&self) -> Result<(), DbErr> {
        let tx = self.db.begin_as(Urgency::Job).await?;
        store::end(&tx, self.name, &self.holder).await?;
        tx.commit().await?;
        Ok(())
    }
}
