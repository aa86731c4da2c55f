//! Whether a connection is encrypted.

use std::io;

use ferretcd_tls::ServerTls;

use crate::socket::Socket;

/// The first byte of a TLS connection: the type of a record with a part of the handshake. No request of HTTP begins with
/// it, in any version.
const HANDSHAKE: u8 = 22;

/// What a listener takes.
#[derive(Clone, Debug)]
pub(crate) enum Encryption {
    /// Connections in the clear.
    None,
    /// TLS.
    Tls(ServerTls),
    /// Both.
    Either(ServerTls),
}

impl Encryption {
    /// With which certificate the handshake of a connection is to be done; `None` in the clear. Waits for the first byte
    /// only if it decides, and leaves it in the socket.
    pub(crate) async fn of(&self, socket: &Socket) -> io::Result<Option<ServerTls>> {
        Ok(match self {
            Self::None => None,
            Self::Tls(tls) => Some(tls.clone()),
            Self::Either(tls) => (first_byte(socket).await? == Some(HANDSHAKE)).then(|| tls.clone()),
        })
    }
}

/// The first byte that a connection sends; `None` if it ends without.
async fn first_byte(socket: &Socket) -> io::Result<Option<u8>> {
    let mut byte = [0];
    let n = socket.peek(&mut byte).await?;
    Ok((n > 0).then_some(byte[0]))
}
