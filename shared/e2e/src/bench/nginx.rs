//! nginx as a plain reverse proxy: the measure of what forwarding costs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sluice_testkit::ports;
use sluice_testkit::process::{Launch, Process};

/// Where Debian puts it, for those whose `PATH` has no system programs.
const PLACES: &[&str] = &["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"];
/// How long it may take to listen.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A running nginx with one worker.
pub(crate) struct Nginx {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its only process.
    pub(crate) process: Process,
}

impl Nginx {
    /// Starts it in front of a server, with its files in an empty folder.
    pub(crate) async fn start(folder: &Path, server: SocketAddr) -> Result<Self> {
        let program = PLACES.iter().map(PathBuf::from).find(|place| place.is_file());
        let program = program.context("nginx is not installed: apt-get install nginx-light")?;
        let address = SocketAddr::from(([127, 0, 0, 1], ports::free()));
        std::fs::create_dir_all(folder)?;
        let file = folder.join("nginx.conf");
        std::fs::write(&file, configuration(folder, address, server))?;
        let error_log = folder.join("error.log");
        let mut process = Launch::program(&program)
            .args(["-p".as_ref(), folder.as_os_str(), "-c".as_ref(), file.as_os_str(), "-e".as_ref(), error_log.as_os_str()])
            .start();
        let deadline = tokio::time::Instant::now() + START_LIMIT;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if !process.is_running() || tokio::time::Instant::now() > deadline {
                let log = std::fs::read_to_string(&error_log).unwrap_or_default();
                bail!("nginx does not start:\n{}\n{log}", process.lines().join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Self { address, process })
    }
}

/// One process, no logs, connections kept alive on both sides, every piece of an answer passed on at once.
fn configuration(folder: &Path, listen: SocketAddr, server: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 16000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  upstream provider {{
    server {server};
    keepalive 256;
    keepalive_requests 100000000;
    keepalive_timeout 600s;
  }}
  server {{
    listen {listen} backlog=4096;
    client_max_body_size 32m;
    location / {{
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
"
    )
}
