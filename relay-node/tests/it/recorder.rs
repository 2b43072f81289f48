//! An upstream that keeps what it was sent and answers with fixed bytes: for stories about single bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use sluice_telemetry::tasks::Tasks;
use tokio::sync::Semaphore;

/// What was asked.
#[derive(Debug, Clone)]
pub struct Heard {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A running recorder.
pub struct Recorder {
    pub addr: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

#[derive(Clone)]
struct Answer {
    content_type: &'static str,
    /// By request; the last one answers all that follow.
    chunks: Arc<Vec<Vec<Bytes>>>,
    /// Every chunk but the first waits for one of these.
    gate: Option<Arc<Semaphore>>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Recorder {
    /// Answers everything with these chunks.
    pub async fn start(content_type: &'static str, chunks: &[&[u8]]) -> Self {
        Self::start_each(content_type, vec![chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk)).collect()]).await
    }

    /// Answers everything with these chunks; each but the first comes when somebody gives a permit for it.
    pub async fn start_held(content_type: &'static str, chunks: &[&[u8]], gate: Arc<Semaphore>) -> Self {
        let chunks = vec![chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk)).collect()];
        Self::serve(content_type, chunks, Some(gate)).await
    }

    /// Answers each request with chunks of its own.
    pub async fn start_each(content_type: &'static str, chunks: Vec<Vec<Bytes>>) -> Self {
        Self::serve(content_type, chunks, None).await
    }

    async fn serve(content_type: &'static str, chunks: Vec<Vec<Bytes>>, gate: Option<Arc<Semaphore>>) -> Self {
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let answer = Answer { content_type, chunks: Arc::new(chunks), gate, heard: Arc::clone(&heard) };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let router = Router::new().fallback(respond).with_state(answer);
        Tasks::new().spawn("recorder", async move { axum::serve(listener, router).await.unwrap() });
        Self { addr, heard }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().clone()
    }
}

async fn respond(State(answer): State<Answer>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let place = {
        let mut heard = answer.heard.lock();
        heard.push(Heard { path: head.uri.path().to_owned(), headers: head.headers, body });
        heard.len().min(answer.chunks.len()) - 1
    };
    let gate = answer.gate.clone();
    let chunks = stream::iter(answer.chunks[place].clone()).enumerate().then(move |(nth, chunk)| {
        let gate = gate.clone().filter(|_| nth > 0);
        async move {
            if let Some(gate) = gate {
                gate.acquire().await.unwrap().forget();
            }
            Ok::<_, std::convert::Infallible>(chunk)
        }
    });
    Response::builder()
        .header("content-type", answer.content_type)
        .header("x-request-id", "upstream-1")
        .header("set-cookie", "secret=1")
        .header("server", "upstream")
        .header("openai-processing-ms", "7")
        .header("x-ratelimit-remaining-requests", "5")
        .body(Body::from_stream(chunks))
        .unwrap()
}
