//! A control plane with relays, set up so that every request goes the full path.

use std::iter;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use sluice_testkit::database::{Engine, TestDatabase};
use sluice_testkit::ports;
use sluice_testkit::services::Addresses;

use super::cost::Watched;
use super::machine::give_way;
use super::question::{FAST_MODEL, PLAYED_MODEL};
use super::stage::{Target, Way};
use crate::api::Api;
use crate::fleet::{Node, PROVIDER_KEY, ROOT_TOKEN, settle_config};

/// The simulator's model with an endless answer.
pub(crate) const LONG_MODEL: &str = "sim-long";
/// More than any run can spend: ten million dollars.
const QUOTA: i64 = 5_000_000_000_000;
/// Tokens of one owner: fewer than the site's bound.
const TOKENS_PER_USER: usize = 900;
/// Tokens created at the same time.
const CREATING: usize = 16;

/// An installation. Dropping it ends it.
pub(crate) struct Install {
    pub(crate) control: Node,
    pub(crate) relays: Vec<Node>,
    pub(crate) api: Api,
    pub(crate) user: i64,
    pub(crate) channel: i64,
    pub(crate) database: TestDatabase,
    /// The port relays connect to.
    pub(crate) grpc: u16,
    /// The key of the one token that is used.
    pub(crate) key: String,
}

impl Install {
    /// Starts a control plane on a fresh database and relays with one worker thread each; returns when all know everything.
    pub(crate) async fn start(
        (engine, addresses): (Engine, &Addresses),
        folder: &Path,
        provider: SocketAddr,
        relays: usize,
        tokens: usize,
    ) -> Result<Self> {
        let database = TestDatabase::create_at(engine, addresses).await;
        let grpc = ports::free();
        let folder = folder.join(engine.to_string());
        let mut control = Node::control(&folder, database.dsn(), grpc);
        control.start();
        control.wait_ready().await;
        // It has a machine of its own elsewhere; here it must not take the relay's core from under a request.
        give_way(control.process().context("the control plane runs")?.pid()).context("lower the control plane's priority")?;
        let mut nodes: Vec<Node> = (0..relays).map(|place| Node::relay(&folder, place, grpc)).collect();
        for relay in &mut nodes {
            // As many as nginx has, and the simulator: one core each.
            relay.set("TOKIO_WORKER_THREADS", "1");
            relay.start();
        }
        for relay in &nodes {
            relay.wait_ready().await;
        }
        let api = Api::new(&control.base_url(), ROOT_TOKEN);
        let models = [FAST_MODEL, PLAYED_MODEL, LONG_MODEL];
        for model in models {
            api.price(model, "1.25", "4").await;
        }
        let channel = api.channel("simulator", &format!("http://{provider}"), PROVIDER_KEY, &models).await;
        let user = api.user("bench", QUOTA).await;
        let key = api.token(user, "bench").await.key;
        let install = Self { control, relays: nodes, api, user, channel, database, grpc, key };
        install.add_tokens(tokens).await?;
        settle_config(&install.api, relays).await;
        Ok(install)
    }

    /// Where callers ask it: the first relay.
    pub(crate) fn target(&mut self) -> Result<Target> {
        let relay = self.relays.first_mut().context("an installation has a relay")?;
        let process = Watched::new(relay.process().context("the relay runs")?.pid());
        let address = relay.address();
        Ok(Target { way: Way::Full, address, key: self.key.clone(), process: Some(process) })
    }

    /// The control plane's process.
    pub(crate) fn control_process(&mut self) -> Result<Watched> {
        Ok(Watched::new(self.control.process().context("the control plane runs")?.pid()))
    }

    /// Tokens that nobody uses, so that looking one up is not looking at a list of one.
    async fn add_tokens(&self, count: usize) -> Result<()> {
        let mut owners = Vec::new();
        for number in 0..count.div_ceil(TOKENS_PER_USER) {
            owners.push(self.api.user(&format!("owner-{number}"), 0).await);
        }
        let made = (0..count).zip(owners.iter().flat_map(|owner| iter::repeat_n(owner, TOKENS_PER_USER)));
        let made = stream::iter(made).map(|(number, owner)| {
            let body = json!({"user_id": *owner, "name": format!("unused {number}")});
            async move {
                self.api.create("/api/tokens", &body).await;
                anyhow::Ok(())
            }
        });
        made.buffer_unordered(CREATING).try_collect().await
    }
}
