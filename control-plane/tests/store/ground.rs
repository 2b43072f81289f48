//! A fresh database of ours on each engine, and short words for stories about money.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sluice_billing::lease::Terms;
use sluice_control_plane::db::{self, Db, Dsn, PoolSettings, Tx, first_rows};
use sluice_control_plane::jobs::leader::Work;
use sluice_control_plane::leases::{self, Answer, Ask, Granted, Life, Pending};
use sluice_control_plane::nodes::{self, Registration};
use sluice_control_plane::settlement::rates::Rates;
use sluice_control_plane::settlement::{Batch, Incoming, Settled, Settler};
use sluice_control_plane::wallet::{self, AccountKind, Entry, EntryKind, Standing, audit};
use sluice_domain::{
    AccountId, Attempt, ChannelId, ChannelKeyId, Dialect, Epoch, GroupName, LeaseCharge, LeaseId, ModelName, NodeId, Outcome,
    Quota, Record, RequestId, RequestRecord, TokenId, UnixMillis, Usage, UserId,
};
use sluice_testkit::database::{TestDatabase, engines};

/// When every story begins.
pub(crate) const START: UnixMillis = UnixMillis(1_790_000_000_000);

/// A migrated database with its first rows.
pub(crate) struct Ground {
    pub(crate) db: Db,
    pub(crate) settler: Settler,
    pub(crate) lineage: Arc<str>,
    references: AtomicI64,
    // removed last
    _database: TestDatabase,
}

/// One for each engine.
pub(crate) async fn grounds() -> Vec<Ground> {
    let mut grounds = Vec::new();
    for engine in engines() {
        let database = TestDatabase::create(engine).await;
        let dsn = Dsn::parse(database.dsn(), None, std::path::Path::new("unused")).unwrap();
        grounds.push(Ground::on(database, dsn).await);
    }
    grounds
}

/// A user with a wallet, and a token with its account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Customer {
    pub(crate) user: UserId,
    pub(crate) token: TokenId,
    pub(crate) wallet: AccountId,
    pub(crate) cap: AccountId,
}

impl Ground {
    async fn on(database: TestDatabase, dsn: Dsn) -> Self {
        let db = db::connect(&dsn, PoolSettings { max_open: 12, ..PoolSettings::default() }).await.unwrap();
        db::migrate(&db).await.unwrap();
        first_rows::write(&db, "check", START).await.unwrap();
        let select = Query::select().column("lineage").from("config_head").to_owned();
        let lineage: String = db.read().query_one(&select).await.unwrap().unwrap().try_get("", "lineage").unwrap();
        let lineage: Arc<str> = lineage.into();
        let settler = Settler::new(db.clone(), lineage.clone(), Rates::new());
        Self { db, settler, lineage, references: AtomicI64::new(0), _database: database }
    }

    /// A settler that remembers nothing, as after a restart.
    pub(crate) fn restart(&mut self) {
        self.settler = Settler::new(self.db.clone(), self.lineage.clone(), Rates::new());
    }

    /// Work of jobs, by a process that is alone.
    pub(crate) fn work(&self) -> Work {
        Work::alone(self.db.clone())
    }

    /// A customer with so much in the wallet and on the token.
    pub(crate) async fn customer(&self, wallet: i64, cap: i64) -> Customer {
        let tx = self.db.begin().await.unwrap();
        let number = self.references.fetch_add(1, Ordering::Relaxed);
        let user = UserId::new(insert_user(&tx, &format!("user-{number}")).await);
        let token = TokenId::new(insert_token(&tx, number, user).await);
        let wallet_account = wallet::open(&tx, AccountKind::Wallet(user), user, START).await.unwrap();
        let cap_account = wallet::open(&tx, AccountKind::Cap(token), user, START).await.unwrap();
        let point = Query::update()
            .table("tokens")
            .value("account_id", cap_account.get())
            .and_where(Expr::col("id").eq(token.get()))
            .to_owned();
        tx.execute(&point).await.unwrap();
        for (account, amount) in [(wallet_account, wallet), (cap_account, cap)] {
            if amount != 0 {
                wallet::post(&tx, self.entry(account, amount), START).await.unwrap();
            }
        }
        tx.commit().await.unwrap();
        Customer { user, token, wallet: wallet_account, cap: cap_account }
    }

    /// A customer whose token may be used so many times, and the account that counts them.
    pub(crate) async fn limited_customer(&self, wallet: i64, uses: i64) -> (Customer, AccountId) {
        let customer = self.customer(wallet, 0).await;
        let tx = self.db.begin().await.unwrap();
        let account = wallet::open(&tx, AccountKind::Uses(customer.token), customer.user, START).await.unwrap();
        wallet::post(&tx, self.entry(account, uses), START).await.unwrap();
        let point = Query::update()
            .table("tokens")
            .value("uses_account_id", account.get())
            .value("uses_limited", true)
            .and_where(Expr::col("id").eq(customer.token.get()))
            .to_owned();
        tx.execute(&point).await.unwrap();
        tx.commit().await.unwrap();
        (customer, account)
    }

    /// A correction by an administrator, with a reference of its own.
    pub(crate) fn entry(&self, account: AccountId, amount: i64) -> Entry {
        Entry {
            account,
            kind: EntryKind::AdminAdjust,
            amount: Quota::new(amount).unwrap(),
            reference: format!("test/{}", self.references.fetch_add(1, Ordering::Relaxed)),
            actor: None,
            reason: "a test".into(),
        }
    }

    /// Registers a relay.
    pub(crate) async fn relay(&self, name: &str, epoch: i64) -> Life {
        let life = Life { node: NodeId::parse(name).unwrap(), epoch: Epoch(epoch) };
        let registration = Registration {
            life: life.clone(),
            boot_id: format!("boot-{name}-{epoch}"),
            build: "test".into(),
            address: "127.0.0.1:3000".into(),
        };
        nodes::register(&self.db, &registration, START).await.unwrap();
        life
    }

    /// Asks for money, and expects it.
    pub(crate) async fn grant(&self, life: &Life, grant_seq: i64, account: AccountId, need: i64, want: i64) -> Granted {
        match self.ask(life, grant_seq, account, need, want).await {
            Some(Answer::Granted(granted)) => granted,
            other => panic!("{other:?}"),
        }
    }

    /// Asks for money.
    pub(crate) async fn ask(&self, life: &Life, grant_seq: i64, account: AccountId, need: i64, want: i64) -> Option<Answer> {
        let ask = ask(life, grant_seq, account, need, want);
        // nobody is waited for: what relays hold counts as used
        let pending = Pending { recall_seq: Some(0), ..Pending::new(ask) };
        self.decide(&[pending]).await.remove(0)
    }

    /// Asks for money, and may be told to wait.
    pub(crate) async fn decide(&self, asks: &[Pending]) -> Vec<Option<Answer>> {
        leases::grant(&self.db, &Terms::default(), asks, START).await.unwrap()
    }

    /// Reports records, as one batch.
    pub(crate) async fn report(&self, life: &Life, first_seq: i64, records: Vec<Record>) -> Settled {
        self.report_at(life, first_seq, records, false, START).await
    }

    pub(crate) async fn report_at(
        &self,
        life: &Life,
        first_seq: i64,
        records: Vec<Record>,
        ended: bool,
        now: UnixMillis,
    ) -> Settled {
        let batch = batch(first_seq, records, ended);
        self.settler.settle(life, &[Batch { sent_at: now, ..batch }], now).await.unwrap()
    }

    /// What an account holds.
    pub(crate) async fn standing(&self, account: AccountId) -> Standing {
        wallet::standings(self.db.read(), &[account]).await.unwrap().remove(0)
    }

    /// Balance, leased, in doubt, spent.
    pub(crate) async fn figures(&self, account: AccountId) -> [i64; 4] {
        let standing = self.standing(account).await;
        [standing.balance, standing.leased, standing.in_doubt, standing.spent].map(Quota::get)
    }

    /// Every account adds up.
    pub(crate) async fn assert_conservation(&self) {
        let (found, _) = audit::imbalances(self.db.read(), AccountId::new(0), 10_000).await.unwrap();
        assert_eq!(found, [], "{:?}", self.db.engine());
    }

    /// How many rows a table has.
    pub(crate) async fn count(&self, table: &'static str) -> i64 {
        let select =
            Query::select().expr_as(db::whole(self.db.engine(), Expr::col("node_id").count()), "n").from(table).to_owned();
        self.db.read().query_one(&select).await.unwrap().unwrap().try_get("", "n").unwrap()
    }

    /// A request of gpt-4o that costs 3,750: 1,000 in, 500 out.
    pub(crate) fn request(&self, name: &str, customer: Customer, charges: Vec<LeaseCharge>) -> Record {
        Record::Request(Box::new(self.plain(name, customer, charges)))
    }

    pub(crate) fn plain(&self, name: &str, customer: Customer, charges: Vec<LeaseCharge>) -> RequestRecord {
        RequestRecord {
            request_id: RequestId::parse(name).unwrap(),
            user_id: customer.user,
            token_id: customer.token,
            charges,
            quota: Quota::clamped(3_750),
            held: Quota::clamped(6_500),
            config_lineage: self.lineage.clone(),
            config_seq: 1,
            model: ModelName::parse("gpt-4o").unwrap(),
            upstream_model: "gpt-4o-2024-08-06".into(),
            group: GroupName::parse("default").unwrap(),
            channel_id: Some(ChannelId::new(1)),
            usage: Usage { input: 1_000, output: 500, ..Usage::default() },
            usage_estimated: false,
            outcome: Outcome::Completed,
            error_code: String::new(),
            status: 200,
            dialect: Dialect::OpenAi,
            path: "/v1/chat/completions".into(),
            stream: true,
            started_at: START.plus_millis(-2_000),
            total_millis: 1_500,
            first_byte_millis: Some(300),
            attempts: vec![Attempt {
                channel_id: ChannelId::new(1),
                channel_key_id: ChannelKeyId::new(1),
                status: 200,
                error: String::new(),
                millis: 300,
            }],
            client_ip: "192.0.2.7".into(),
            upstream_request_id: String::new(),
            output_limit: None,
        }
    }
}

pub(crate) async fn insert_user(tx: &Tx, name: &str) -> i64 {
    let columns = ["username", "username_key", "display_name", "role", "status", "group_name", "rev", "created_at", "updated_at"];
    let values = [
        name.into(),
        name.into(),
        name.into(),
        1.into(),
        1.into(),
        "default".into(),
        1_i64.into(),
        START.0.into(),
        START.0.into(),
    ];
    let insert = Query::insert().into_table("users").columns(columns).values_panic(values).to_owned();
    db::insert_for_id(tx, insert).await.unwrap()
}

pub(crate) async fn insert_token(tx: &Tx, number: i64, user: UserId) -> i64 {
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
    let values = values.chain([1.into(), true.into()]);
    let insert = Query::insert().into_table("tokens").columns(columns).values_panic(values).to_owned();
    db::insert_for_id(tx, insert).await.unwrap()
}

pub(crate) fn ask(life: &Life, grant_seq: i64, account: AccountId, need: i64, want: i64) -> Ask {
    Ask { life: life.clone(), grant_seq, account, need: Quota::clamped(need), want: Quota::clamped(want), up_to_want: false }
}

pub(crate) fn batch(first_seq: i64, records: Vec<Record>, epoch_ended: bool) -> Batch {
    let records = records.into_iter().map(Incoming::Record).collect();
    Batch { first_seq, records, epoch_ended, is_damaged: false, sent_at: START }
}

pub(crate) fn pays(granted: Granted, amount: i64) -> LeaseCharge {
    LeaseCharge { lease_id: granted.lease, account_id: granted.account, amount: Quota::clamped(amount) }
}

pub(crate) fn closes(lease: LeaseId) -> Record {
    Record::LeaseClosed(lease)
}
