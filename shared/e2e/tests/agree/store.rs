//! A database of ours, and what is in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use sea_orm::{ConnectionTrait, QueryResult};
use sluice_control_plane::db::{self, Db, Dsn, PoolSettings, Tx, first_rows};
use sluice_control_plane::settlement::Settler;
use sluice_control_plane::settlement::rates::Rates;
use sluice_control_plane::wallet::{self, AccountKind, Entry, EntryKind};
use sluice_domain::{AccountId, Quota, TokenId, UnixMillis, UserId};
use sluice_e2e::sim::ledger::TokenRow;
use sluice_testkit::database::{Engine, TestDatabase};

/// When every sequence begins.
pub(crate) const START: UnixMillis = UnixMillis(1_790_000_000_000);

/// A migrated database with its first rows.
pub(crate) struct Store {
    pub(crate) db: Db,
    pub(crate) settler: Settler,
    pub(crate) rates: Rates,
    pub(crate) lineage: Arc<str>,
    references: i64,
    // removed last
    _database: TestDatabase,
}

/// A lease, an account, a cursor or a settled request, as numbers and words that can be compared.
pub(crate) type Rows = BTreeMap<String, String>;

impl Store {
    pub(crate) async fn on(engine: Engine) -> Self {
        let database = TestDatabase::create(engine).await;
        let dsn = Dsn::parse(database.dsn(), None, Path::new("unused")).unwrap();
        let db = db::connect(&dsn, PoolSettings { max_open: 4, ..PoolSettings::default() }).await.unwrap();
        db::migrate(&db).await.unwrap();
        first_rows::write(&db, "check", START).await.unwrap();
        let select = Query::select().column("lineage").from("config_head").to_owned();
        let lineage: String = db.read().query_one(&select).await.unwrap().unwrap().try_get("", "lineage").unwrap();
        let lineage: Arc<str> = lineage.into();
        let rates = Rates::new();
        rates.load(&db, 1).await.unwrap();
        let settler = Settler::new(db.clone(), lineage.clone(), Rates::new());
        Self { db, settler, rates, lineage, references: 0, _database: database }
    }

    /// A user with a wallet, and a token with a cap and, perhaps, counted uses.
    pub(crate) async fn customer(&self, number: i64, counts_uses: bool) -> (TokenId, TokenRow) {
        let tx = self.db.begin().await.unwrap();
        let user = UserId::new(insert_user(&tx, &format!("user-{number}")).await);
        let token = TokenId::new(insert_token(&tx, number, user).await);
        let wallet = wallet::open(&tx, AccountKind::Wallet(user), user, START).await.unwrap();
        let cap = wallet::open(&tx, AccountKind::Cap(token), user, START).await.unwrap();
        let mut point =
            Query::update().table("tokens").value("account_id", cap.get()).and_where(Expr::col("id").eq(token.get())).to_owned();
        let mut uses = None;
        if counts_uses {
            let account = wallet::open(&tx, AccountKind::Uses(token), user, START).await.unwrap();
            point.value("uses_account_id", account.get()).value("uses_limited", true);
            uses = Some(account);
        }
        tx.execute(&point).await.unwrap();
        tx.commit().await.unwrap();
        (token, TokenRow { user, rev: 1, is_enabled: true, wallet, cap, is_capped: true, uses })
    }

    /// Puts money into an account.
    pub(crate) async fn credit(&mut self, account: AccountId, amount: i64) {
        self.references += 1;
        let entry = Entry {
            account,
            kind: EntryKind::AdminAdjust,
            amount: Quota::new(amount).unwrap(),
            reference: format!("agree/{}", self.references),
            actor: None,
            reason: "a test".into(),
        };
        let tx = self.db.begin().await.unwrap();
        wallet::post(&tx, entry, START).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Everything about money, read from the tables.
    pub(crate) async fn rows(&self, accounts: &[AccountId]) -> Rows {
        let mut rows = Rows::new();
        for standing in wallet::standings(self.db.read(), accounts).await.unwrap() {
            let figures = [standing.balance, standing.leased, standing.in_doubt, standing.spent].map(Quota::get);
            rows.insert(format!("account {}", standing.account), format!("{figures:?}"));
        }
        let leases = ["id", "account_id", "epoch", "granted", "settled", "returned", "expires_at", "recall_seq"];
        for row in self.table("leases", &leases, &["node_id", "state"]).await {
            rows.insert(format!("lease {}", row.0[0]), format!("{:?} {:?}", &row.0[1..], row.1));
        }
        for row in self.table("usage_cursors", &["epoch", "next_seq"], &["node_id"]).await {
            let is_ended = self.is_ended(&row.1[0], row.0[0]).await;
            rows.insert(format!("cursor {} {}", row.1[0], row.0[0]), format!("{} {is_ended}", row.0[1]));
        }
        for row in self.table("requests", &["epoch", "seq", "quota"], &["node_id", "request_id"]).await {
            rows.insert(format!("settled {} {} {}", row.1[0], row.0[0], row.0[1]), format!("{} {}", row.1[1], row.0[2]));
        }
        for row in self.table("quarantine", &["epoch", "seq"], &["node_id", "reason"]).await {
            rows.insert(format!("quarantined {} {} {}", row.1[0], row.0[0], row.0[1]), row.1[1].clone());
        }
        rows
    }

    async fn is_ended(&self, node: &str, epoch: i64) -> bool {
        let select = Query::select()
            .column("ended")
            .from("usage_cursors")
            .and_where(Expr::col("node_id").eq(node))
            .and_where(Expr::col("epoch").eq(epoch))
            .to_owned();
        self.db.read().query_one(&select).await.unwrap().unwrap().try_get("", "ended").unwrap()
    }

    async fn table(&self, table: &'static str, longs: &[&'static str], texts: &[&'static str]) -> Vec<(Vec<i64>, Vec<String>)> {
        let columns = longs.iter().chain(texts).copied();
        let select = Query::select().columns(columns).from(table).order_by(longs[0], Order::Asc).to_owned();
        let rows = self.db.read().query_all(&select).await.unwrap();
        rows.iter()
            .map(|row| (longs.iter().map(|name| long(row, name)).collect(), texts.iter().map(|name| text(row, name)).collect()))
            .collect()
    }
}

fn long(row: &QueryResult, name: &str) -> i64 {
    row.try_get("", name).unwrap()
}

fn text(row: &QueryResult, name: &str) -> String {
    row.try_get("", name).unwrap()
}

async fn insert_user(tx: &Tx, name: &str) -> i64 {
    let columns = ["username", "username_key", "display_name", "role", "status", "group_name", "rev", "created_at", "updated_at"];
    let (rev, at) = (1_i64.into(), START.0.into());
    let values = [name.into(), name.into(), name.into(), 1.into(), 1.into(), "default".into(), rev, at, START.0.into()];
    let insert = Query::insert().into_table("users").columns(columns).values_panic(values).to_owned();
    db::insert_for_id(tx, insert).await.unwrap()
}

async fn insert_token(tx: &Tx, number: i64, user: UserId) -> i64 {
    let texts = [
        ("public_id", format!("tok_{number}")),
        ("name", "a token".into()),
        ("digest", format!("{number:064x}")),
        ("sealed_key", "sealed".into()),
        ("hint", "abcd".into()),
        ("models", "[]".into()),
        ("ip_allow", "[]".into()),
    ];
    let longs = [("user_id", user.get()), ("account_id", 0), ("rev", 1), ("created_at", START.0), ("updated_at", START.0)];
    let columns = texts.iter().map(|(name, _)| *name).chain(longs.iter().map(|(name, _)| *name)).chain(["status", "capped"]);
    let values = texts.iter().map(|(_, text)| text.as_str().into()).chain(longs.iter().map(|(_, long)| (*long).into()));
    let insert =
        Query::insert().into_table("tokens").columns(columns).values_panic(values.chain([1.into(), true.into()])).to_owned();
    db::insert_for_id(tx, insert).await.unwrap()
}
