//! The relay under test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sluice_billing::{ModelPrice, Ratio};
use sluice_domain::{
    AccountId, ChannelId, ChannelKeyId, Clock, Epoch, GroupName, Limits, ModelName, NodeId, Now, Record, RequestRecord, Role,
    Status, TokenId, UnixMillis, UserId,
};
use sluice_limits::{Limiter, Notes, Redis, RedisSettings, Setup, Shared};
use sluice_providers::Catalog;
use sluice_relay_node::admit::keeping;
use sluice_relay_node::budget::ByteBudget;
use sluice_relay_node::chance::Chance;
use sluice_relay_node::config::{NodeOptions, Options, RequestOptions, Settings};
use sluice_relay_node::forward::{Engine, Timing};
use sluice_relay_node::metrics::Metrics;
use sluice_relay_node::quota::Quotas;
use sluice_relay_node::responses::Bindings;
use sluice_relay_node::spool::{BatchLimits, Spool, SpoolSettings};
use sluice_relay_node::view::{Page, Taken, View};
use sluice_relay_node::{RelayApp, app, health, ingress};
use sluice_sealed::DigestKey;
use sluice_snapshot::{
    Channel, ChannelKey, Group, Price, Resource, Setting, Snapshot, StateHash, Table, Token, Upsert, User, Version,
};
use sluice_telemetry::listen::{ListenSettings, routed, serve};
use sluice_telemetry::metrics::Registry;
use sluice_telemetry::tasks::Tasks;
use sluice_testkit::client::Caller;
use sluice_upstream::{Client, ClientSettings, MediaFetcher, ProxyUrl, Reach};
use tempfile::TempDir;

use crate::ledger::Ledger;

/// The secret part of the usual caller's key.
pub const KEY: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv";
/// The same of an administrator's.
pub const ADMIN_KEY: &str = "zyxwvutsrqponmlkjihgfedcbaZYXWVUTSRQPONMLKJIHGFE";
/// Wallets of the two.
pub const WALLET: i64 = 1;
pub const ADMIN_WALLET: i64 = 2;
/// The cap of the usual token, where it has one.
pub const CAP: i64 = 11;

/// Answers that are read on at once without their callers.
pub const DRAINS: usize = 256;

const DIGEST_KEY: [u8; 32] = [7; 32];
/// Longer than anything takes that comes at all.
const LONG: Duration = Duration::from_mins(2);

/// A world to build a relay in.
pub struct World {
    pub channels: Vec<Channel>,
    pub groups: Vec<Group>,
    pub prices: Vec<(&'static str, ModelPrice)>,
    pub settings: Vec<(&'static str, &'static str)>,
    pub tokens: Vec<Token>,
    pub users: Vec<User>,
    pub timing: Timing,
    /// Catalogue files beside those that are shipped.
    pub providers: Vec<(&'static str, String)>,
    pub ledger: Ledger,
    pub adjust: fn(&mut Settings),
    pub listen: ListenSettings,
    pub budget_bytes: usize,
    /// Whether the control plane said anything yet.
    pub is_configured: bool,
    /// How much of some models all may use together.
    pub model_limits: Vec<(&'static str, Limits)>,
    /// Where limits are kept for the whole fleet.
    pub redis: Option<RedisSettings>,
    /// What relays note for each other.
    pub notes: Option<Arc<dyn Notes>>,
    /// What media are fetched through.
    pub media_proxy: Option<String>,
    /// How many relays there are, as the control plane says.
    pub fleet: u64,
}

impl World {
    /// One channel at this address, two callers with money, prices of a few models.
    pub fn with_upstream(base_url: &str) -> Self {
        let ledger = Ledger::default();
        ledger.credit(WALLET, 100_000_000);
        ledger.credit(ADMIN_WALLET, 100_000_000);
        Self {
            channels: vec![channel(1, base_url)],
            groups: vec![group("default", "1", &[])],
            prices: vec![
                ("gpt-4o", ratios("1.25", "4")),
                ("text-embedding-3-small", ratios("0.01", "1")),
                ("gpt-3.5-turbo-instruct", ratios("0.75", "4/3")),
                ("mistral-large", ratios("1", "3")),
            ],
            settings: vec![],
            tokens: vec![token(1, 1, KEY), Token { account_id: AccountId::new(12), ..token(2, 2, ADMIN_KEY) }],
            users: vec![user(1, Role::User), user(2, Role::Admin)],
            timing: Timing::default(),
            providers: vec![],
            ledger,
            adjust: |_| {},
            listen: ListenSettings::default(),
            budget_bytes: 256 << 20,
            is_configured: true,
            model_limits: vec![],
            redis: None,
            notes: None,
            media_proxy: None,
            fleet: 1,
        }
    }

    pub async fn start(self) -> TestRelay {
        TestRelay::start(self).await
    }

    fn table(&self) -> Table {
        let channels = self.channels.iter().cloned().map(Resource::Channel);
        let groups = self.groups.iter().cloned().map(Resource::Group);
        let price = |(model, price): &(&str, ModelPrice)| {
            let limits = self.model_limits.iter().find(|(limited, _)| limited == model).map(|(_, limits)| limits.clone());
            Resource::Price(Price { model: name(model), price: price.clone(), limits: limits.unwrap_or_default() })
        };
        let setting =
            |(name, value): &(&str, &str)| Resource::Setting(Setting { name: (*name).to_owned(), value: (*value).to_owned() });
        let resources = channels.chain(groups).chain(self.prices.iter().map(price)).chain(self.settings.iter().map(setting));
        let upserts = resources.map(|resource| Upsert {
            key: resource.key(),
            hash: StateHash::of_entry(resource.key().kind(), &resource.key().name(), 1, b""),
            resource: Ok(Arc::new(resource)),
        });
        let version = Version { lineage: "test".into(), seq: 42 };
        let (table, rejected) = Table::compile(&Snapshot::new(version, upserts.collect()).0);
        assert!(rejected.is_empty(), "{rejected:?}");
        table
    }
}

pub fn name(model: &str) -> ModelName {
    ModelName::parse(model).unwrap()
}

pub fn ratios(model: &str, completion: &str) -> ModelPrice {
    let completion = if completion == "4/3" { "1.333333333333333334" } else { completion };
    ModelPrice {
        model_ratio: Some(model.parse().unwrap()),
        completion_ratio: Some(completion.parse().unwrap()),
        ..ModelPrice::default()
    }
}

pub fn group(group: &str, ratio: &str, usable: &[&str]) -> Group {
    let parse = |text: &str| GroupName::parse(text).unwrap();
    let ratio: Ratio = ratio.parse().unwrap();
    let usable = usable.iter().map(|name| parse(name)).collect();
    Group { name: parse(group), ratio, usable, limits: sluice_domain::Limits::default() }
}

/// A channel of an OpenAI-compatible provider with one key, `upstream-key-<id>`, for every model that is priced.
pub fn channel(id: i64, base_url: &str) -> Channel {
    Channel {
        id: ChannelId::new(id),
        name: format!("channel {id}"),
        provider: "openai-compatible".into(),
        base_url: Some(format!("{base_url}/v1")),
        api_version: None,
        keys: vec![channel_key(id * 10, &format!("upstream-key-{id}"))],
        models: ["gpt-4o", "text-embedding-3-small", "gpt-3.5-turbo-instruct", "mistral-large"].map(name).to_vec(),
        groups: vec![GroupName::parse("default").unwrap()],
        priority: 0,
        weight: 1,
        status: Status::Enabled,
        model_mapping: BTreeMap::new(),
        cache_read_ratio: None,
        policy: sluice_snapshot::ChannelPolicy::default(),
        limits: sluice_domain::Limits::default(),
        settings: Arc::default(),
        definition: None,
    }
}

pub fn channel_key(id: i64, secret: &str) -> ChannelKey {
    ChannelKey { id: ChannelKeyId::new(id), secret: secret.into(), status: Status::Enabled }
}

pub fn token(id: i64, user: i64, key: &str) -> Token {
    Token {
        id: TokenId::new(id),
        user_id: UserId::new(user),
        rev: 1,
        digest: DigestKey::from_bytes(DIGEST_KEY).digest(key),
        status: Status::Enabled,
        expires_at: None,
        name: "laptop".into(),
        group: None,
        models: None,
        ip_allow: vec![],
        account_id: AccountId::new(CAP),
        capped: false,
        uses_account_id: None,
        limits: sluice_domain::Limits::default(),
    }
}

pub fn user(id: i64, role: Role) -> User {
    User {
        id: UserId::new(id),
        rev: 1,
        status: Status::Enabled,
        role,
        group: GroupName::parse("default").unwrap(),
        account_id: AccountId::new(id),
        limits: sluice_domain::Limits::default(),
    }
}

/// What keeps the limits, as [`sluice_relay_node::admit::keeping`] makes it, in a fleet of a size that the test says.
fn limiter(world: &World, clock: &Clock, metrics: &Metrics, tasks: &Tasks) -> Limiter {
    let shared = world.redis.as_ref().map(|settings| Arc::new(Redis::connect(settings).unwrap()) as Arc<dyn Shared>);
    let (metrics, fleet) = (metrics.limits.clone(), world.fleet);
    let notice = move |event| keeping::notice(&metrics, fleet, event);
    let (limiter, upkeep) = Limiter::new(Setup {
        clock: clock.clone(),
        shared,
        patience: world.redis.as_ref().map_or(RedisSettings::PATIENCE, |settings| settings.patience),
        relays: Arc::new(move || fleet),
        notice: Arc::new(notice),
        life: u64::from(std::process::id()) << 32 | LIVES.fetch_add(1, Ordering::Relaxed),
        capacity: Setup::CAPACITY,
    });
    tasks.spawn("limits", upkeep.run(std::future::pending()));
    limiter
}

static LIVES: AtomicU64 = AtomicU64::new(1);

/// A relay that listens.
pub struct TestRelay {
    pub app: RelayApp,
    pub registry: Registry,
    pub addr: SocketAddr,
    folder: TempDir,
}

impl TestRelay {
    async fn start(world: World) -> Self {
        sluice_testkit::install_tls_provider();
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::new(|| Now {
            wall: UnixMillis(sluice_telemetry::clock::wall_millis()),
            boot_millis: sluice_telemetry::clock::boot_millis(),
        });
        let (registry, tasks) = (Registry::new(), Tasks::new());
        let metrics = Metrics::declare(&registry);
        let spool_folder = folder.path().join("spool");
        let spool = Spool::open(
            &spool_folder,
            Epoch(1),
            SpoolSettings { segment_bytes: 4 << 20, ..SpoolSettings::default() },
            clock.clone(),
            metrics.spool.clone(),
        )
        .unwrap();
        let (quotas, demands) = Quotas::new(spool.clone(), clock.clone(), metrics.quota.clone());
        let (view, _questions) = View::new(clock.clone(), metrics.view.clone());
        if world.is_configured {
            view.set_digest_key(DIGEST_KEY);
            view.publish(Arc::new(world.table()));
            let tokens = world.tokens.iter().cloned().map(Taken::Is).collect();
            let users = world.users.iter().cloned().map(Taken::Is).collect();
            view.take_page(Page { as_of_seq: 1, tokens, users, is_last: true, is_complete: true });
        }
        let node = NodeOptions { control_url: Some("http://127.0.0.1:1".into()), ..NodeOptions::default() };
        let options = Options { version: false, node, requests: RequestOptions::default(), command: None };
        let mut settings = options.read().unwrap();
        (world.adjust)(&mut settings);
        settings.requests.media_proxy = world.media_proxy.as_ref().map(|url| ProxyUrl::parse(url).unwrap());
        let mut catalog = Catalog::served().unwrap();
        for (slug, text) in &world.providers {
            catalog.add(slug, text).unwrap();
        }
        let catalog = Arc::new(catalog);
        let client = Client::new(ClientSettings { use_system_proxy: false, ..ClientSettings::default() }).unwrap();
        let reach = if settings.requests.media_from_private { Reach::Private } else { Reach::Public };
        let media = MediaFetcher::new(reach, "sluice/test").unwrap();
        let engine = Engine::new((client, media), catalog, world.timing, settings.requests.max_line_bytes, clock.clone());
        tasks.spawn("ledger", world.ledger.clone().serve(quotas.clone(), demands));
        let app = RelayApp::new(app::Parts {
            view: view.clone(),
            quotas,
            spool,
            engine: engine.unwrap(),
            limits: limiter(&world, &clock, &metrics, &tasks),
            responses: Bindings::new(world.notes.map(|notes| (notes, LONG)), Bindings::LIFETIME),
            load: health::Load::default(),
            clock,
            chance: Chance::new(1),
            settings,
            metrics,
            bytes: ByteBudget::new(world.budget_bytes),
            drain: tasks.drain(),
            tasks: tasks.clone(),
            node: NodeId::parse("relay-1").unwrap(),
            epoch: Epoch(1),
            started_at: UnixMillis(1_700_000_000_000),
        });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (router, closing) = (ingress::router(app.clone()), tasks.drain().closing());
        tasks.spawn("server", serve(listener, routed(router), world.listen, tasks.clone(), closing));
        Self { app, registry, addr, folder }
    }

    /// Waits until an answer is read on without its caller.
    pub async fn until_read_on(&self) {
        let places = &self.app.engine.drains;
        let reached = async {
            while places.available_permits() == DRAINS {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(LONG, reached).await.expect("it is read on");
    }

    /// A part of what the relay measures: the lines that begin with a text.
    pub fn measured(&self, beginning: &str) -> Vec<String> {
        self.registry.render().lines().filter(|line| line.starts_with(beginning)).map(str::to_owned).collect()
    }

    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Every byte the relay keeps on disk.
    pub async fn kept_bytes(&self) -> Vec<u8> {
        self.app.spool.flush().await;
        let (mut folders, mut bytes) = (vec![self.folder.path().to_owned()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    bytes.extend(std::fs::read(path).unwrap());
                }
            }
        }
        bytes
    }

    /// The usual caller.
    pub fn caller(&self) -> Caller {
        self.anonymous().with_key(format!("sk-{KEY}"))
    }

    pub fn admin(&self) -> Caller {
        self.anonymous().with_key(format!("sk-{ADMIN_KEY}"))
    }

    pub fn anonymous(&self) -> Caller {
        Caller::new(self.base_url())
    }

    /// Every final record there is, in order.
    pub async fn records(&self) -> Vec<RequestRecord> {
        self.app.spool.flush().await;
        let mut log = self.app.spool.current();
        let mut records = Vec::new();
        while let Some(batch) = log.next_batch(BatchLimits { records: 500, bytes: 1 << 20 }).unwrap() {
            for body in &batch.records {
                if let Record::Request(record) = sluice_rpc::usage::decode(body).unwrap() {
                    records.push(*record);
                }
            }
        }
        records
    }

    /// Waits until there are so many final records.
    pub async fn wait_for_records(&self, count: usize) -> Vec<RequestRecord> {
        let reached = async {
            loop {
                let records = self.records().await;
                if records.len() >= count {
                    return records;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, reached).await.expect("the records are written")
    }

    /// The only record there is.
    pub async fn record(&self) -> RequestRecord {
        let mut records = self.wait_for_records(1).await;
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0)
    }

    /// The value of one line of `/metrics`.
    pub fn metric(&self, line: &str) -> i64 {
        let page = self.registry.render();
        let value = page.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {line} in\n{page}")).parse().unwrap()
    }
}
