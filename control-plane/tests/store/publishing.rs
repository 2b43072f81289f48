//! From the database to relays: one transaction is one change, nothing is missed, and what was followed is what is there.

use std::collections::BTreeSet;
use std::time::Duration;

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sluice_control_plane::app::App;
use sluice_control_plane::config::{ControlOptions, ProcessOptions, Settings};
use sluice_control_plane::publish::log::{self, Changed};
use sluice_control_plane::publish::{self, Change, Feed, Head, News};
use sluice_control_plane::start::{ControlPlane, Host, Time};
use sluice_control_plane::wallet::{self, AccountKind};
use sluice_domain::{Clock, GroupName, KeyDigest, Now, TokenId, UnixMillis, UserId};
use sluice_rpc::identity;
use sluice_snapshot::ResourceKey;
use sluice_telemetry::drain::Drain;
use sluice_telemetry::metrics::Registry;
use sluice_telemetry::tasks::Tasks;
use sluice_testkit::database::{TestDatabase, engines};
use tempfile::TempDir;
use tokio::sync::broadcast::Receiver;
use tokio::task::JoinSet;

use crate::ground::{START, insert_token, insert_user};

/// Longer than this nobody waits for a change.
const PATIENCE: Duration = Duration::from_mins(1);

/// A control plane on a fresh database, with a feed that follows it.
struct Site {
    plane: ControlPlane,
    feed: Feed,
    // what goes on beside the test, and where: removed last
    _tail: JoinSet<()>,
    _folder: TempDir,
    _database: TestDatabase,
}

async fn sites() -> Vec<Site> {
    let mut sites = Vec::new();
    for engine in engines() {
        let (database, folder) = (TestDatabase::create(engine).await, tempfile::tempdir().unwrap());
        let process = ProcessOptions { data_dir: folder.path().to_str().map(Into::into), ..ProcessOptions::default() };
        let control = ControlOptions { sql_dsn: Some(database.dsn().into()), ..ControlOptions::default() };
        let clock = Clock::new(|| Now { wall: START, boot_millis: 1 });
        let host = Host { clock, time: Time::OfTheClock, registry: Registry::new(), tasks: Tasks::new() };
        let plane = ControlPlane::build(Settings::read(&process, &control).unwrap(), host).await.unwrap();
        let feed = Feed::start(plane.app()).await.unwrap();
        let mut tail = JoinSet::new();
        tail.spawn(feed.clone().run(plane.app().clone(), Drain::new()));
        sites.push(Site { plane, feed, _tail: tail, _folder: folder, _database: database });
    }
    sites
}

async fn next_change(news: &mut Receiver<News>) -> std::sync::Arc<Change> {
    loop {
        match tokio::time::timeout(PATIENCE, news.recv()).await.expect("nothing was told").unwrap() {
            News::Change(change) => return change,
            News::Urgent(_) => {}
            News::Reload => panic!("everything was read anew"),
        }
    }
}

/// Adds a user with so many tokens, and answers the tokens' ids.
pub(crate) async fn add_tokens(app: &App, count: i64) -> Vec<TokenId> {
    let tx = app.db.begin().await.unwrap();
    let user = UserId::new(insert_user(&tx, "ana").await);
    wallet::open(&tx, AccountKind::Wallet(user), user, START).await.unwrap();
    let mut tokens = Vec::new();
    for number in 0..count {
        let token = TokenId::new(insert_token(&tx, number, user).await);
        wallet::open(&tx, AccountKind::Cap(token), user, START).await.unwrap();
        tokens.push(token);
    }
    tx.commit().await.unwrap();
    tokens
}

/// Adds a group, in a transaction of its own.
async fn add_group(site: &Site, name: &str) {
    let tx = site.plane.app().db.begin().await.unwrap();
    insert_group(&tx, name).await;
    log::record(&tx, START, &[Changed::Group(GroupName::parse(name).unwrap())]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn insert_group(tx: &sluice_control_plane::db::Tx, name: &str) {
    let insert = Query::insert()
        .into_table("user_groups")
        .columns(["name", "ratio", "usable", "description", "rev", "created_at", "updated_at"])
        .values_panic([name.into(), "2".into(), "[]".into(), "".into(), 1_i64.into(), START.0.into(), START.0.into()])
        .to_owned();
    tx.execute(&insert).await.unwrap();
}

#[tokio::test]
async fn what_one_transaction_changes_arrives_as_one_change() {
    for site in sites().await {
        let (state, mut news) = site.feed.listen();
        let tx = site.plane.app().db.begin().await.unwrap();
        insert_group(&tx, "gold").await;
        let setting = Query::insert()
            .into_table("settings")
            .columns(["name", "value", "rev", "updated_at"])
            .values_panic(["retry_times".into(), "5".into(), 1_i64.into(), START.0.into()])
            .to_owned();
        tx.execute(&setting).await.unwrap();
        let gone = Query::delete().from_table("user_groups").and_where(Expr::col("name").eq("svip")).to_owned();
        tx.execute(&gone).await.unwrap();
        let group = |name: &str| GroupName::parse(name).unwrap();
        let changes = [Changed::Group(group("gold")), Changed::Setting("retry_times".into()), Changed::Group(group("svip"))];
        log::record(&tx, START, &changes).await.unwrap();
        tx.commit().await.unwrap();
        site.plane.app().poke.look();

        let change = next_change(&mut news).await;
        assert_eq!((&change.from, change.to.seq), (state.version(), state.version().seq + 1));
        let upserts: BTreeSet<ResourceKey> = change.upserts.iter().map(|upsert| upsert.resource.key()).collect();
        assert_eq!(upserts, BTreeSet::from([ResourceKey::Group(group("gold")), ResourceKey::Setting("retry_times".into())]));
        assert_eq!(change.deletes, [ResourceKey::Group(group("svip"))]);
    }
}

#[tokio::test]
async fn changes_of_sixteen_writers_follow_each_other_without_gap_and_lead_to_what_is_there() {
    for site in sites().await {
        let (state, mut news) = site.feed.listen();
        let start = state.version().clone();
        let writers = (0..16).map(|writer| {
            let site = &site;
            async move {
                for change in 0..3 {
                    add_group(site, &format!("group-{writer}-{change}")).await;
                    site.plane.app().poke.look();
                }
            }
        });
        let follow = async {
            let (mut here, mut upserts) = (start.clone(), BTreeSet::new());
            while here.seq < start.seq + 48 {
                let change = next_change(&mut news).await;
                assert_eq!(change.from, here, "a change starts where the one before it ended");
                here = change.to.clone();
                upserts.extend(change.upserts.iter().map(|upsert| upsert.resource.key()));
            }
            upserts
        };
        let (_, upserts) = tokio::join!(futures_util::future::join_all(writers), follow);
        assert_eq!(upserts.len(), 48);
        let (followed, read) = (site.feed.state(), Feed::start(site.plane.app()).await.unwrap().state());
        assert_eq!((followed.version(), followed.hash()), (read.version(), read.hash()));
    }
}

#[tokio::test]
async fn more_changes_than_a_statement_can_name_are_read_anew_as_a_whole() {
    for site in sites().await {
        let (state, mut news) = site.feed.listen();
        let tx = site.plane.app().db.begin().await.unwrap();
        for transaction in 0..140 {
            let changes: Vec<Changed> = (0..500).map(|n| Changed::Token(TokenId::new(1 + transaction * 500 + n))).collect();
            log::record(&tx, START, &changes).await.unwrap();
        }
        tx.commit().await.unwrap();
        site.plane.app().poke.look();
        let told = tokio::time::timeout(PATIENCE, news.recv()).await.expect("nothing was told").unwrap();
        assert!(matches!(told, News::Reload), "{told:?}");
        assert_eq!(site.feed.state().version().seq, state.version().seq + 140);
    }
}

#[tokio::test]
async fn what_cannot_be_read_keeps_its_form_until_it_is_mended_switched_off_or_gone() {
    for site in sites().await {
        let group = GroupName::parse("gold").unwrap();
        let key = ResourceKey::Group(group.clone());
        add_group(&site, "gold").await;
        site.plane.app().poke.look();
        let (_, mut news) = site.feed.listen();
        while site.feed.state().get(&key).is_none() {
            tokio::time::timeout(PATIENCE, news.recv()).await.expect("nothing was told").unwrap();
        }
        let (_, mut news) = site.feed.listen();
        let write = async |update: sea_orm::sea_query::UpdateStatement| {
            let tx = site.plane.app().db.begin().await.unwrap();
            tx.execute(&update).await.unwrap();
            log::record(&tx, START, &[Changed::Group(group.clone())]).await.unwrap();
            tx.commit().await.unwrap();
            site.plane.app().poke.look();
        };
        let ratio = |ratio: &str| {
            let is_gold = Expr::col("name").eq("gold");
            Query::update().table("user_groups").value("ratio", ratio).and_where(is_gold).to_owned()
        };
        write(ratio("much")).await;
        let change = next_change(&mut news).await;
        assert_eq!((change.upserts.len(), change.deletes.len()), (0, 0));
        assert!(site.feed.state().get(&key).is_some());
        // 140 transactions at once are read anew as a whole
        let tx = site.plane.app().db.begin().await.unwrap();
        for transaction in 0..140 {
            let changes: Vec<Changed> = (0..500).map(|n| Changed::Token(TokenId::new(1 + transaction * 500 + n))).collect();
            log::record(&tx, START, &changes).await.unwrap();
        }
        tx.commit().await.unwrap();
        site.plane.app().poke.look();
        assert!(matches!(tokio::time::timeout(PATIENCE, news.recv()).await.unwrap().unwrap(), News::Reload));
        assert!(site.feed.state().get(&key).is_some());
        write(ratio("3")).await;
        assert_eq!(next_change(&mut news).await.upserts.len(), 1);
        let gone = site.plane.app().db.begin().await.unwrap();
        gone.execute(&Query::delete().from_table("user_groups").and_where(Expr::col("name").eq("gold")).to_owned())
            .await
            .unwrap();
        log::record(&gone, START, &[Changed::Group(group.clone())]).await.unwrap();
        gone.commit().await.unwrap();
        site.plane.app().poke.look();
        assert_eq!(next_change(&mut news).await.deletes, [key]);
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_read_is_gone_at_its_own_revision_so_that_it_can_come_back() {
    for site in sites().await {
        let token = add_tokens(site.plane.app(), 1).await[0];
        let (_, mut news) = site.feed.listen();
        let tx = site.plane.app().db.begin().await.unwrap();
        let is_it = Expr::col("id").eq(token.get());
        let spoil = Query::update().table("tokens").value("status", 77).value("rev", 5_i64).and_where(is_it).to_owned();
        tx.execute(&spoil).await.unwrap();
        log::record(&tx, START, &[Changed::Token(token), Changed::Token(TokenId::new(987_654))]).await.unwrap();
        tx.commit().await.unwrap();
        site.plane.app().poke.look();
        let change = next_change(&mut news).await;
        let gone: Vec<_> = change
            .tokens
            .iter()
            .map(|change| match change {
                identity::Change::Gone { id, rev } => (*id, *rev),
                identity::Change::Is(token) => panic!("{token:?}"),
            })
            .collect();
        assert_eq!(BTreeSet::from_iter(gone), BTreeSet::from([(token, 5), (TokenId::new(987_654), i64::MAX)]));
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_read_ends_no_page_and_is_not_called_unknown() {
    for site in sites().await {
        let app = site.plane.app();
        let tokens = add_tokens(app, 3).await;
        let broken = Query::update()
            .table("tokens")
            .value("ip_allow", "[\"nowhere\"]")
            .and_where(Expr::col("id").eq(tokens[1].get()))
            .to_owned();
        let tx = app.db.begin().await.unwrap();
        tx.execute(&broken).await.unwrap();
        tx.commit().await.unwrap();

        let first = publish::identities(app, 0, 2, UnixMillis(0)).await.unwrap();
        assert_eq!((first.tokens.len(), first.is_whole, first.next), (1, false, Some(tokens[1].get())));
        let second = publish::identities(app, tokens[1].get(), 2, UnixMillis(0)).await.unwrap();
        assert_eq!((second.tokens.len(), second.is_whole, second.next), (1, true, None));
        let digest = |number: u8| KeyDigest(std::array::from_fn(|place| if place == 31 { number } else { 0 }));
        assert!(publish::resolve(app, &digest(0)).await.unwrap().identity.is_some());
        assert!(publish::resolve(app, &digest(1)).await.is_err(), "whose key it is cannot be said");
        assert!(publish::resolve(app, &digest(9)).await.unwrap().identity.is_none());
    }
}

/// Puts a copy of the past in place, all at once: it was at `past`, and went on by so many changes that nobody saw happen.
async fn put_the_past_in_place(site: &Site, past: &Head, instead: i64) {
    let tx = site.plane.app().db.begin().await.unwrap();
    let later = Query::delete().from_table("config_log").and_where(Expr::col("seq").gt(past.version.seq)).to_owned();
    tx.execute(&later).await.unwrap();
    let lost = Query::delete().from_table("user_groups").and_where(Expr::col("name").like("lost-%")).to_owned();
    tx.execute(&lost).await.unwrap();
    let (seq, stamp) = (past.version.seq, past.stamp.to_row());
    let back = Query::update().table("config_head").value("seq", seq).value("stamp", stamp).to_owned();
    tx.execute(&back).await.unwrap();
    for number in 0..instead {
        let name = format!("after-{seq}-{number}");
        insert_group(&tx, &name).await;
        log::record(&tx, START, &[Changed::Group(GroupName::parse(&name).unwrap())]).await.unwrap();
    }
    tx.commit().await.unwrap();
    site.plane.app().poke.look();
}

/// How many histories began because the database went back.
async fn histories_begun(site: &Site) -> usize {
    let restored = Query::select().column("id").from("audit").and_where(Expr::col("action").eq("database.restored")).to_owned();
    site.plane.app().db.read().query_all(&restored).await.unwrap().len()
}

async fn until(what: impl Fn() -> bool) {
    let holds = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.expect("it does not come true");
}

#[tokio::test]
async fn a_database_that_went_back_is_noticed_however_far_it_went_on_and_by_one_of_two_replicas() {
    for site in sites().await {
        let app = site.plane.app();
        let other = Feed::start(app).await.unwrap();
        let mut tail = JoinSet::new();
        tail.spawn(other.clone().run(app.clone(), Drain::new()));
        let engine = app.db.engine();
        for (times, instead) in (0..).zip([2, 3, 1, 0, 9]) {
            let past = site.feed.state().head().clone();
            for number in 0..2 {
                add_group(&site, &format!("lost-{times}-{number}")).await;
                app.poke.look();
            }
            let seq = past.version.seq + 2;
            until(|| [&site.feed, &other].iter().all(|feed| feed.state().version().seq == seq)).await;
            assert_eq!(histories_begun(&site).await, times, "{engine:?}: ordinary changes");

            put_the_past_in_place(&site, &past, instead).await;
            let is_new = |feed: &Feed| feed.state().version().lineage != past.version.lineage;
            until(|| is_new(&site.feed) && is_new(&other)).await;
            // both look once more, and find nothing else to begin
            add_group(&site, &format!("seen-{times}")).await;
            app.poke.look();
            let seq = past.version.seq + instead + 1;
            until(|| [&site.feed, &other].iter().all(|feed| feed.state().version().seq == seq)).await;
            assert_eq!(histories_begun(&site).await, times + 1, "{engine:?}: {instead} changes instead of two");
            let there = Feed::start(app).await.unwrap().state();
            assert_eq!(there.version().seq, seq);
            for feed in [&site.feed, &other] {
                let state = feed.state();
                assert_eq!((state.head(), state.hash()), (there.head(), there.hash()), "{engine:?}");
            }
        }
    }
}
