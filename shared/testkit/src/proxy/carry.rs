//! One connection through the proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{Counts, TO_CLIENT, TO_SERVER, Weather};

/// Bytes read at once.
const PIECE_BYTES: usize = 16 * 1024;
/// Pieces under way in one direction: a megabyte, beyond which the sender waits.
const PIECES: usize = 64;
/// How long a server may take to take a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Carries a connection to its end: both sides said all, one broke off, or it is cut.
pub(super) async fn carry(mut client: TcpStream, server: SocketAddr, mut weather: watch::Receiver<Weather>, counts: &Counts) {
    let cuts = weather.borrow().cuts;
    let mut to_server = weather.clone();
    let carried = async {
        // a packet that is lost on its way opens nothing
        passes(&mut to_server, TO_SERVER).await?;
        let connecting = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(server));
        let mut server = connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let ended = both_ways(&mut client, &mut server, &to_server, counts).await;
        if ended.is_err() {
            server.set_zero_linger().ok();
        }
        ended
    };
    let is_cut = weather.wait_for(|weather| weather.cuts != cuts || weather.refuses);
    let is_whole = tokio::select! {
        ended = carried => ended.is_ok(),
        // either it is cut, or the proxy is gone
        _ = is_cut => false,
    };
    if !is_whole {
        client.set_zero_linger().ok();
    }
}

async fn both_ways(
    client: &mut TcpStream,
    server: &mut TcpStream,
    weather: &watch::Receiver<Weather>,
    counts: &Counts,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let there = pump(from_client, to_server, TO_SERVER, weather, counts);
    let back = pump(from_server, to_client, TO_CLIENT, weather, counts);
    tokio::try_join!(there, back).map(drop)
}

async fn pump(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    place: usize,
    weather: &watch::Receiver<Weather>,
    counts: &Counts,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(PIECES);
    let taking = take_in(from, sender, place, weather.clone());
    let giving = give_out(to, receiver, place, weather.clone(), counts);
    tokio::try_join!(taking, giving).map(drop)
}

async fn take_in(
    mut from: impl AsyncRead + Unpin,
    pieces: mpsc::Sender<(Instant, Bytes)>,
    place: usize,
    mut weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        passes(&mut weather, place).await?;
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let piece = Bytes::copy_from_slice(&buffer[..count]);
        pieces.send((Instant::now(), piece)).await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
    }
}

async fn give_out(
    mut to: impl AsyncWrite + Unpin,
    mut pieces: mpsc::Receiver<(Instant, Bytes)>,
    place: usize,
    mut weather: watch::Receiver<Weather>,
    counts: &Counts,
) -> io::Result<()> {
    while let Some((taken_at, piece)) = pieces.recv().await {
        let delay = weather.borrow().delay[place];
        tokio::time::sleep_until(taken_at + delay).await;
        passes(&mut weather, place).await?;
        to.write_all(&piece).await?;
        counts.bytes[place].fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
    passes(&mut weather, place).await?;
    to.shutdown().await
}

/// Waits while nothing passes.
async fn passes(weather: &mut watch::Receiver<Weather>, place: usize) -> io::Result<()> {
    let waited = weather.wait_for(|weather| !weather.held[place]).await;
    waited.map(drop).map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))
}
