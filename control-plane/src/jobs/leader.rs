//! Which replica runs the jobs: a lease in the database, by the database's own clock, because the replicas' clocks may differ.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query, UpdateStatement};
use sea_orm::{ConnectionTrait, DbErr};

use crate::db::{Db, Tx, Urgency, now_millis, retried};

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
        let tx = self.db.begin_as(Urgency::Job).await?;
        let ours = Expr::col("holder").eq(self.holder.as_str());
        let is_over = Expr::col("expires_at").lte(now_millis(self.db.engine()));
        let renew = self.extend().and_where(ours).to_owned();
        let mut leads = tx.execute(&renew).await?.rows_affected() > 0;
        if !leads {
            let take = self
                .extend()
                .value("holder", self.holder.as_str())
                .value("fence", Expr::col("fence").add(1))
                .and_where(is_over)
                .to_owned();
            leads = tx.execute(&take).await?.rows_affected() > 0;
        }
        if !leads {
            leads = self.insert(&tx).await?;
        }
        tx.commit().await?;
        Ok(leads)
    }

    /// Takes a lease that nobody ever had. Whether that was us is read back: MySQL counts a row that was left alone as changed.
    async fn insert(&self, tx: &Tx) -> Result<bool, DbErr> {
        let insert = Query::insert()
            .into_table("leader")
            .columns(["name", "holder", "fence", "expires_at"])
            .values_panic([self.name.into(), self.holder.as_str().into(), 1_i64.into(), self.end()])
            .on_conflict(OnConflict::column("name").do_nothing_on(["name"]).to_owned())
            .to_owned();
        tx.execute(&insert).await?;
        let read = Query::select().column("holder").from("leader").and_where(Expr::col("name").eq(self.name)).to_owned();
        let row = tx.query_one(&read).await?.ok_or(DbErr::RecordNotInserted)?;
        Ok(row.try_get::<String>("", "holder")? == self.holder)
    }

    /// Gives the lease up, so that the next one need not wait for its end.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn step_down(&self) -> Result<(), DbErr> {
        let tx = self.db.begin_as(Urgency::Job).await?;
        let end = Query::update()
            .table("leader")
            .value("expires_at", 0_i64)
            .and_where(Expr::col("name").eq(self.name))
            .and_where(Expr::col("holder").eq(self.holder.as_str()))
            .to_owned();
        tx.execute(&end).await?;
        tx.commit().await
    }

    fn extend(&self) -> UpdateStatement {
        Query::update().table("leader").value("expires_at", self.end()).and_where(Expr::col("name").eq(self.name)).to_owned()
    }

    fn end(&self) -> Expr {
        now_millis(self.db.engine()).add(i64::try_from(LASTS.as_millis()).unwrap_or(i64::MAX))
    }
}
