//! A control plane that does what a test tells it to.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sluice_rpc::auth::{presented_node, presented_proof};
use sluice_rpc::pb;
use sluice_telemetry::tasks::Tasks;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

type Down<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// One kind of stream: what relays said on it, and the way to answer the newest.
pub(crate) struct Tap<U, D> {
    said: (mpsc::Sender<U>, tokio::sync::Mutex<mpsc::Receiver<U>>),
    down: Mutex<Option<mpsc::Sender<Result<D, Status>>>>,
    tasks: Tasks,
}

impl<U: Send + 'static, D: Send + 'static> Tap<U, D> {
    fn new(tasks: &Tasks) -> Self {
        let (sender, receiver) = mpsc::channel(1024);
        Self { said: (sender, tokio::sync::Mutex::new(receiver)), down: Mutex::new(None), tasks: tasks.clone() }
    }

    fn open(&self, mut incoming: Streaming<U>) -> Response<Down<D>> {
        let (down, receiver) = mpsc::channel(1024);
        *self.down.lock() = Some(down);
        let said = self.said.0.clone();
        self.tasks.spawn("tap", async move {
            while let Ok(Some(message)) = incoming.message().await {
                if said.send(message).await.is_err() {
                    break;
                }
            }
        });
        Response::new(Box::pin(ReceiverStream::new(receiver)))
    }

    /// The next thing a relay says.
    pub(crate) async fn heard(&self) -> U {
        let mut said = self.said.1.lock().await;
        tokio::time::timeout(DEADLINE, said.recv()).await.expect("nothing is heard").expect("nobody speaks")
    }

    /// The next thing that fits.
    pub(crate) async fn heard_where<T>(&self, fits: impl Fn(U) -> Option<T>) -> T {
        loop {
            if let Some(found) = fits(self.heard().await) {
                return found;
            }
        }
    }

    /// Says something to the newest stream.
    pub(crate) async fn say(&self, message: D) {
        let down = self.down.lock().clone().expect("no stream is open");
        let _ = down.send(Ok(message)).await;
    }

    /// Whether a stream is open.
    pub(crate) fn is_open(&self) -> bool {
        self.down.lock().is_some()
    }

    /// Breaks the newest stream.
    pub(crate) async fn cut(&self) {
        let down = self.down.lock().take().expect("no stream is open");
        let _ = down.send(Err(Status::unavailable("cut by the test"))).await;
    }
}

pub(crate) struct Inner {
    pub(crate) registered: Mutex<Vec<(pb::RegisterRequest, String, Option<String>)>>,
    pub(crate) refusal: Mutex<Option<Status>>,
    pub(crate) lineage: Mutex<String>,
    /// Whether greetings on the lease stream are answered.
    pub(crate) greets: Mutex<bool>,
    pub(crate) config: Tap<pb::ConfigUp, pb::ConfigDown>,
    pub(crate) leases: Tap<pb::LeaseUp, pb::LeaseDown>,
    pub(crate) usage: Tap<pb::UsageBatch, pb::UsageReply>,
    /// Answers about keys, used up one by one; the last one stays.
    pub(crate) identities: Mutex<HashMap<Vec<u8>, Vec<pb::ResolveReply>>>,
    pub(crate) resolves: Mutex<usize>,
    pub(crate) observed: Mutex<Vec<pb::Observations>>,
    pub(crate) reported: Mutex<Vec<pb::ErrandReport>>,
}

/// The fake. Clones are the same.
#[derive(Clone)]
pub(crate) struct Fake(pub(crate) Arc<Inner>);

impl std::ops::Deref for Fake {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Fake {
    pub(crate) fn new(tasks: &Tasks) -> Self {
        Self(Arc::new(Inner {
            registered: Mutex::default(),
            refusal: Mutex::default(),
            lineage: Mutex::new("a".into()),
            greets: Mutex::new(true),
            config: Tap::new(tasks),
            leases: Tap::new(tasks),
            usage: Tap::new(tasks),
            identities: Mutex::default(),
            resolves: Mutex::default(),
            observed: Mutex::default(),
            reported: Mutex::default(),
        }))
    }

    fn router(&self) -> tonic::transport::server::Router {
        tonic::transport::Server::builder()
            .add_service(pb::nodes_server::NodesServer::new(self.clone()))
            .add_service(pb::config_server::ConfigServer::new(self.clone()))
            .add_service(pb::leases_server::LeasesServer::new(self.clone()))
            .add_service(pb::usage_server::UsageServer::new(self.clone()))
    }

    /// Serves connections within the process.
    pub(crate) async fn serve(self, connections: mpsc::Receiver<DuplexStream>) {
        let incoming = ReceiverStream::new(connections).map(Ok::<_, std::io::Error>);
        self.router().serve_with_incoming(incoming).await.expect("the fake serves");
    }

    /// Serves connections over TCP.
    pub(crate) async fn serve_tcp(self, listener: tokio::net::TcpListener) {
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        self.router().serve_with_incoming(incoming).await.expect("the fake serves");
    }
}

#[tonic::async_trait]
impl pb::nodes_server::Nodes for Fake {
    async fn register(&self, request: Request<pb::RegisterRequest>) -> Result<Response<pb::RegisterReply>, Status> {
        let node = presented_node(&request)?.to_string();
        let proof = presented_proof(&request).map(ToOwned::to_owned);
        if let Some(refusal) = self.refusal.lock().clone() {
            return Err(refusal);
        }
        self.registered.lock().push((request.into_inner(), node, proof));
        Ok(Response::new(pb::RegisterReply {
            lineage: self.lineage.lock().clone(),
            token_digest_key: vec![1; 32].into(),
            server_time_ms: 0,
            heartbeat_ms: 60_000,
            fleet_size: 2,
            session: 0,
        }))
    }

    async fn observe(&self, request: Request<pb::Observations>) -> Result<Response<pb::ObserveReply>, Status> {
        self.observed.lock().push(request.into_inner());
        Ok(Response::new(pb::ObserveReply {}))
    }

    async fn report(&self, request: Request<pb::ErrandReport>) -> Result<Response<pb::ErrandReply>, Status> {
        self.reported.lock().push(request.into_inner());
        Ok(Response::new(pb::ErrandReply {}))
    }
}

#[tonic::async_trait]
impl pb::config_server::Config for Fake {
    type SubscribeStream = Down<pb::ConfigDown>;

    async fn subscribe(&self, request: Request<Streaming<pb::ConfigUp>>) -> Result<Response<Self::SubscribeStream>, Status> {
        Ok(self.config.open(request.into_inner()))
    }

    async fn resolve(&self, request: Request<pb::ResolveRequest>) -> Result<Response<pb::ResolveReply>, Status> {
        *self.resolves.lock() += 1;
        let digest = request.into_inner().digest.to_vec();
        let mut identities = self.identities.lock();
        let answers = identities.entry(digest).or_insert_with(|| vec![pb::ResolveReply::default()]);
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        Ok(Response::new(answer))
    }
}

#[tonic::async_trait]
impl pb::leases_server::Leases for Fake {
    type ExchangeStream = Down<pb::LeaseDown>;

    async fn exchange(&self, request: Request<Streaming<pb::LeaseUp>>) -> Result<Response<Self::ExchangeStream>, Status> {
        let opened = self.leases.open(request.into_inner());
        if *self.greets.lock() {
            // the answer to the greeting, which may be empty
            self.leases.say(pb::LeaseDown::default()).await;
        }
        Ok(opened)
    }
}

#[tonic::async_trait]
impl pb::usage_server::Usage for Fake {
    type ReportStream = Down<pb::UsageReply>;

    async fn report(&self, request: Request<Streaming<pb::UsageBatch>>) -> Result<Response<Self::ReportStream>, Status> {
        Ok(self.usage.open(request.into_inner()))
    }
}
