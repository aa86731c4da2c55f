//! A server with TLS for its clients.

use std::net::{Ipv4Addr, TcpListener};

use crate::{Cluster, Options, StartError};

/// Starts with another port when another process has taken this one.
const PORT_ATTEMPTS: usize = 5;

/// Starts a server with an `https` client URL besides `flags`, and returns the port of that URL.
pub async fn start_secured<C: Cluster>(flags: &[String]) -> Result<(C, u16), StartError> {
    for attempt in 1.. {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let url = format!("https://127.0.0.1:{port}");
        let urls = [format!("--listen-client-urls={url}"), format!("--advertise-client-urls={url}")];
        match C::start(&Options { flags: [&urls[..], flags].concat() }).await {
            Ok(server) => return Ok((server, port)),
            Err(StartError::Exited { logs, .. })
                if logs.to_ascii_lowercase().contains("address already in use")
                    && attempt < PORT_ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("the last attempt returns")
}
