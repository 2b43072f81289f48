//! A control plane in memory with a clock that stands still, and clients for every role.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sluice_control_plane::app::App;
use sluice_control_plane::auth::{FirstRun, Passwords, first_run};
use sluice_control_plane::config::FirstRunSettings;
use sluice_control_plane::db::{self, Dsn, PoolSettings, first_rows};
use sluice_control_plane::http::{Gate, GateSettings, router};
use sluice_control_plane::metrics::Metrics;
use sluice_control_plane::publish::Poke;
use sluice_control_plane::settlement::rates::Rates;
use sluice_domain::{Clock, Now, UnixMillis};
use sluice_providers::Catalog;
use sluice_sealed::Keyring;
use sluice_telemetry::drain::Drain;
use sluice_telemetry::metrics::Registry;
use sluice_testkit::database::{Engine, TestDatabase};
use tower::ServiceExt;

use crate::described;

/// When every story begins: 2026-09-21T14:13:20Z.
pub(crate) const START: i64 = 1_790_000_000_000;
/// A password that keeps the rules.
pub(crate) const PASSWORD: &str = "kettle harbour violin";

/// A control plane.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) router: Router,
    clock: Arc<AtomicI64>,
    // removed last
    _database: TestDatabase,
}

/// Somebody who sends requests.
#[derive(Clone)]
pub(crate) struct Client {
    router: Router,
    pub(crate) headers: HeaderMap,
    address: SocketAddr,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl World {
    /// A control plane on SQLite that nobody has set up, without limits per address.
    pub(crate) async fn fresh() -> Self {
        Self::on(Engine::Sqlite, no_limits()).await
    }

    pub(crate) async fn on(engine: Engine, limits: GateSettings) -> Self {
        let database = TestDatabase::create(engine).await;
        let dsn = Dsn::parse(database.dsn(), None, std::path::Path::new("unused")).unwrap();
        let db = db::connect(&dsn, PoolSettings { max_open: 12, ..PoolSettings::default() }).await.unwrap();
        db::migrate(&db).await.unwrap();
        first_rows::write(&db, "check", UnixMillis(START)).await.unwrap();
        let millis = Arc::new(AtomicI64::new(START));
        let read = Arc::clone(&millis);
        let clock = Clock::new(move || {
            let wall = read.load(Ordering::Relaxed);
            Now { wall: UnixMillis(wall), boot_millis: u64::try_from(wall - START + 1_000_000).unwrap() }
        });
        let app = App {
            db,
            terms: sluice_billing::lease::Terms::default(),
            keyring: Arc::new(Keyring::from_secret(&"a secret of this test".into()).unwrap()),
            catalog: Arc::new(Catalog::served().unwrap()),
            poke: Poke::default(),
            rates: Rates::new(),
            gate: Arc::new(Gate::new(limits, &clock).unwrap()),
            passwords: Passwords::new().unwrap(),
            metrics: Metrics::declare(&Registry::new()),
            drain: Drain::new(),
            courier: None,
            relay_address: Arc::from(""),
            started_at: UnixMillis(START),
            clock,
        };
        Self { router: router(app.clone()), app, clock: millis, _database: database }
    }

    /// A control plane that is set up, and its root.
    pub(crate) async fn set_up() -> (Self, Client) {
        let world = Self::fresh().await;
        let root = world.root().await;
        (world, root)
    }

    /// Sets the site up and signs in.
    pub(crate) async fn root(&self) -> Client {
        let secret = self.setup_secret().await;
        let body = json!({"secret": secret, "username": "root", "password": PASSWORD});
        let reply = self.anonymous().post("/api/setup", body).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        self.anonymous().with_cookie(&reply)
    }

    /// The secret of a fresh set-up link.
    pub(crate) async fn setup_secret(&self) -> String {
        let path = self.start(&FirstRunSettings::default()).await.setup_link_path.unwrap();
        path.strip_prefix("/setup?secret=").unwrap().to_owned()
    }

    /// What every start of the process does.
    pub(crate) async fn start(&self, settings: &FirstRunSettings) -> FirstRun {
        first_run(&self.app, settings).await.unwrap()
    }

    /// Somebody nobody knows.
    pub(crate) fn anonymous(&self) -> Client {
        Client { router: self.router.clone(), headers: HeaderMap::new(), address: "192.0.2.1:4711".parse().unwrap() }
    }

    /// Somebody nobody knows, at a control plane like this one on another database.
    pub(crate) fn anonymous_on(&self, db: db::Db) -> Client {
        Client { router: router(App { db, ..self.app.clone() }), ..self.anonymous() }
    }

    /// Makes a user of this role, by root, and signs them in.
    pub(crate) async fn member(&self, root: &Client, username: &str, role: &str) -> (i64, Client) {
        let body = json!({"username": username, "password": PASSWORD, "role": role});
        let made = root.post("/api/users", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        (made.body["id"].as_i64().unwrap(), self.sign_in(username).await)
    }

    /// Signs a user in.
    pub(crate) async fn sign_in(&self, username: &str) -> Client {
        let reply = self.anonymous().post("/api/session", json!({"username": username, "password": PASSWORD})).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        self.anonymous().with_cookie(&reply)
    }

    /// Lets time pass.
    pub(crate) fn wait(&self, millis: i64) {
        self.clock.fetch_add(millis, Ordering::Relaxed);
    }

    /// The newest number in the order of changes.
    pub(crate) async fn head(&self) -> i64 {
        use sea_orm::ConnectionTrait;
        let select = sea_orm::sea_query::Query::select().column("seq").from("config_head").to_owned();
        self.app.db.read().query_one(&select).await.unwrap().unwrap().try_get("", "seq").unwrap()
    }
}

/// Nobody is limited, and nobody is a proxy but this machine.
pub(crate) fn no_limits() -> GateSettings {
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    GateSettings { trusted_proxies, api: None, user_api: None, web: None, critical: None }
}

impl Client {
    /// The same with the session of an answer, and the header that pages of ours send.
    pub(crate) fn with_cookie(mut self, reply: &Reply) -> Self {
        let cookie = reply.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        self.headers.insert(header::COOKIE, cookie.parse().unwrap());
        self.with("x-sluice-csrf", "1")
    }

    /// The same with a header.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// The same without a header.
    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.headers.remove(name);
        self
    }

    /// The same from elsewhere.
    pub(crate) fn from(mut self, address: &str) -> Self {
        self.address = format!("{address}:4711").parse().unwrap();
        self
    }

    /// A client with a management token of this one's, with some scopes.
    pub(crate) async fn token(&self, scopes: &[&str]) -> Self {
        let made = self.post("/api/management-tokens", json!({"name": "script", "scopes": scopes})).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let bearer = format!("Bearer {}", made.body["secret"].as_str().unwrap());
        Self { headers: HeaderMap::new(), ..self.clone() }.with("authorization", &bearer)
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, Vec::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, body.to_string().into_bytes()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PATCH, path, body.to_string().into_bytes()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, Vec::new()).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Reply {
        let mut request = Request::builder().method(method.clone()).uri(path);
        if !body.is_empty() && !self.headers.contains_key(header::CONTENT_TYPE) {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(ConnectInfo(self.address));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"json")) {
            described::check(&method, path, status, &body);
        }
        Reply { status, headers, body, text }
    }
}

impl Reply {
    /// Status and code of an error.
    pub(crate) fn refusal(&self) -> (u16, &str) {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{}", self.text);
        assert_eq!(self.body["status"], self.status);
        (self.status, self.body["code"].as_str().unwrap())
    }

    /// The fields that broke a rule, each with the rule.
    pub(crate) fn fields(&self) -> Vec<(&str, &str)> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().map(|error| (error["field"].as_str().unwrap(), error["code"].as_str().unwrap())).collect()
    }

    /// The id of the object.
    pub(crate) fn id(&self) -> i64 {
        self.body["id"].as_i64().unwrap_or_else(|| panic!("no id in {}", self.text))
    }
}
