//! The operations port: is it alive, is it ready, what are its figures. Never on the public port.

use std::fmt::{self, Write};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::drain::Drain;
use crate::metrics::Registry;

/// How long one check may take before it counts as failed. Below the usual timeout of a probe.
const CHECK_TIMEOUT: Duration = Duration::from_millis(800);
/// Pages of `/metrics` and `/readyz` that are made at the same time; beyond it callers are told to come back.
const MAX_AT_ONCE: usize = 8;

/// How long [`probe`] waits.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

type Probe = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// What the operations port tells. Add the checks, then serve it.
#[derive(Clone)]
pub struct Ops {
    registry: Registry,
    drain: Drain,
    checks: Vec<(&'static str, Probe)>,
    permits: Arc<Semaphore>,
}

impl Ops {
    /// A process that is ready until it drains.
    #[must_use]
    pub fn new(registry: Registry, drain: Drain) -> Self {
        Self { registry, drain, checks: Vec::new(), permits: Arc::new(Semaphore::new(MAX_AT_ONCE)) }
    }

    /// Adds a condition of being ready. The error is shown to whoever may read the operations port: a reason, no secret.
    #[must_use]
    pub fn ready_when<F, Checked>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Checked + Send + Sync + 'static,
        Checked: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push((name, Arc::new(move || Box::pin(check()))));
        self
    }

    /// `/livez`, `/readyz` and `/metrics`. Binaries merge further routes, such as `/debug/plan`.
    pub fn router(self) -> Router {
        Router::new()
            .route("/livez", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self)
    }

    /// Runs every check at once. The report has a line for each, in the order they were added.
    async fn report(&self) -> (bool, String) {
        let mut running = JoinSet::new();
        for (place, (_, probe)) in self.checks.iter().enumerate() {
            let check = probe();
            running.spawn(async move { (place, tokio::time::timeout(CHECK_TIMEOUT, check).await) });
        }
        let mut verdicts = vec!["failed: the check panicked".to_owned(); self.checks.len()];
        while let Some(ended) = running.join_next().await {
            let Ok((place, outcome)) = ended else { continue };
            if let Some(verdict) = verdicts.get_mut(place) {
                *verdict = match outcome {
                    Ok(Ok(())) => "ok".to_owned(),
                    Ok(Err(reason)) => format!("failed: {reason}"),
                    Err(_) => format!("failed: no answer within {} ms", CHECK_TIMEOUT.as_millis()),
                };
            }
        }
        let is_leaving = self.drain.is_leaving();
        let is_ready = !is_leaving && verdicts.iter().all(|verdict| verdict == "ok");
        let mut text = String::from(if is_ready { "ready\n" } else { "not ready\n" });
        if is_leaving {
            text.push_str("drain: failed: shutting down\n");
        }
        for ((name, _), verdict) in self.checks.iter().zip(verdicts) {
            let _ = writeln!(text, "{name}: {verdict}");
        }
        (is_ready, text)
    }
}

impl fmt::Debug for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.checks.iter().map(|(name, _)| *name).collect();
        f.debug_struct("Ops").field("checks", &names).finish_non_exhaustive()
    }
}

/// Serves the operations port until `end`. It should outlive draining, so that the last figures can be read.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, router: Router, end: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(end).await
}

/// Where a port of this machine is asked that is bound to an address: there, or on loopback when it is bound to every address.
#[must_use]
pub fn asked_at(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

/// Asks a port on this machine, as a probe would: whether the page answers 200.
///
/// # Errors
/// When nothing answers within two seconds.
pub async fn probe(address: SocketAddr, path: &str) -> io::Result<bool> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let ask = async {
        let mut connection = tokio::net::TcpStream::connect(address).await?;
        connection.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
        let mut status_line = [0_u8; 12];
        connection.read_exact(&mut status_line).await?;
        Ok(status_line.ends_with(b" 200"))
    };
    tokio::time::timeout(PROBE_TIMEOUT, ask).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn ready(State(ops): State<Ops>) -> impl IntoResponse {
    let Ok(_permit) = ops.permits.try_acquire() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready\nprobes: failed: too many at once\n".to_owned());
    };
    let (is_ready, report) = ops.report().await;
    (if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, report)
}

async fn metrics(State(ops): State<Ops>) -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    match ops.permits.try_acquire() {
        Ok(_permit) => (StatusCode::OK, kind, ops.registry.render()),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, kind, "# too many at once\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    async fn read(ops: &Ops, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = ops.clone().router().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn ops() -> Ops {
        Ops::new(Registry::new(), Drain::new())
    }

    #[tokio::test]
    async fn ready_when_every_check_is_and_each_has_its_line() {
        let ops = ops().ready_when("config", async || Ok(())).ready_when("spool", async || Ok(()));
        assert_eq!(read(&ops, "/readyz").await, (200, "ready\nconfig: ok\nspool: ok\n".to_owned()));
    }

    #[test]
    fn a_port_is_asked_where_it_is_bound() {
        for (bound, asked) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "[::1]:9090"),
            ("10.1.2.3:9090", "10.1.2.3:9090"),
            ("[fd00::7]:9090", "[fd00::7]:9090"),
        ] {
            assert_eq!(asked_at(bound.parse().unwrap()), asked.parse().unwrap(), "{bound}");
        }
    }

    #[tokio::test]
    async fn one_failed_check_is_enough_and_tells_why() {
        let ops = ops().ready_when("config", async || Ok(())).ready_when("spool", async || Err("disk is full".to_owned()));
        assert_eq!(read(&ops, "/readyz").await, (503, "not ready\nconfig: ok\nspool: failed: disk is full\n".to_owned()));
    }

    #[tokio::test]
    async fn a_check_that_hangs_or_panics_fails() {
        let ops = ops().ready_when("hangs", std::future::pending).ready_when("panics", async || panic!("broken"));
        let (status, text) = read(&ops, "/readyz").await;
        assert_eq!(status, 503);
        assert!(
            text.contains("hangs: failed: no answer within") && text.contains("panics: failed: the check panicked"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn draining_is_not_ready_but_alive() {
        let ops = ops();
        assert_eq!(read(&ops, "/readyz").await.0, 200);
        ops.drain.leave();
        assert_eq!(read(&ops, "/readyz").await, (503, "not ready\ndrain: failed: shutting down\n".to_owned()));
        assert_eq!(read(&ops, "/livez").await, (200, "ok\n".to_owned()));
    }

    #[tokio::test]
    async fn metrics_are_served_until_the_end() {
        let ops = ops();
        let (status, page) = read(&ops, "/metrics").await;
        assert_eq!(status, 200);
        assert!(page.contains("sluice_process_build_info"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        serve(listener, ops.router(), std::future::ready(())).await.unwrap();
    }
}
