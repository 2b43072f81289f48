//! Which replica runs the jobs: a lease in the database, by the database's own clock, because the replicas' clocks may differ.

mod store;

use std::time::Duration;

use sea_orm::DbErr;

use crate::db::{Db, Tx, Urgency, retried};

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

    /// Takes the lease, or renews it. `None`: another replica leads.
    ///
    /// # Errors
    /// When the database is away: then nobody knows who leads.
    pub async fn lead(&self) -> Result<Option<Work>, DbErr> {
        retried(|| self.try_lead()).await
    }

    async fn try_lead(&self) -> Result<Option<Work>, DbErr> {
        let (name, holder) = (self.name, self.holder.as_str());
        let tx = self.db.begin_as(Urgency::Job).await?;
        let leads = store::renew(&tx, name, holder).await?
            || store::take_ended(&tx, name, holder).await?
            || store::take_first(&tx, name, holder).await?;
        let fence = if leads { store::lock_fence(&tx, name, holder).await? } else { None };
        tx.commit().await?;
        let lead = |fence| Lead { name, holder: holder.to_owned(), fence };
        Ok(fence.map(|fence| Work { db: self.db.clone(), lead: Some(lead(fence)) }))
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

/// One term of office: the fence grows with each new leader.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lead {
    name: &'static str,
    holder: String,
    fence: i64,
}

/// The right to do work of which there must be one, for one term of office. Every transaction of it looks whether the term still lasts,
/// and keeps the next leader waiting until it has ended.
#[derive(Debug, Clone)]
pub struct Work {
    db: Db,
    lead: Option<Lead>,
}

impl Work {
    /// Work of a process that is known to be alone: a command, or a test.
    #[must_use]
    pub const fn alone(db: Db) -> Self {
        Self { db, lead: None }
    }

    /// For reading.
    #[must_use]
    pub const fn db(&self) -> &Db {
        &self.db
    }

    /// Starts a transaction of a job.
    ///
    /// # Errors
    /// When another replica leads by now, or the database is away.
    pub async fn begin(&self) -> Result<Tx, DbErr> {
        let tx = self.db.begin_as(Urgency::Job).await?;
        if let Some(lead) = &self.lead
            && store::lock_fence(&tx, lead.name, &lead.holder).await? != Some(lead.fence)
        {
            return Err(DbErr::Custom(format!("another replica runs the {} by now", lead.name)));
        }
        Ok(tx)
    }
}
