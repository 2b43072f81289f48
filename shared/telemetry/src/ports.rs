//! Ports, and which setting is to blame for one that cannot be had.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// A port that cannot be listened on: for a person to change a setting.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: cannot listen on {address}")]
pub struct CannotListen {
    /// The setting to change.
    pub setting: &'static str,
    /// Where it was tried.
    pub address: SocketAddr,
    /// Why not.
    pub source: io::Error,
}

/// Binds a port that `setting` names. An address that is not of this machine is the fault of `SLUICE_BIND`.
///
/// # Errors
/// When the port is taken or not allowed, or the address is not of this machine.
pub async fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, CannotListen> {
    TcpListener::bind(address).await.map_err(|source| {
        let is_address = source.kind() == io::ErrorKind::AddrNotAvailable;
        CannotListen { setting: if is_address { "SLUICE_BIND" } else { setting }, address, source }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Chain;

    #[tokio::test]
    async fn a_port_that_is_taken_is_told_by_its_setting() {
        let first = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "PORT").await.unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address, "PORT").await.unwrap_err();
        let text = Chain(&error).to_string();
        assert!(text.starts_with(&format!("PORT: cannot listen on {address}: ")), "{text}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_told_by_its_own_setting() {
        // reserved for documentation, so no machine has it
        let error = bind(SocketAddr::from(([192, 0, 2, 1], 0)), "PORT").await.unwrap_err();
        assert_eq!(error.setting, "SLUICE_BIND");
    }
}
