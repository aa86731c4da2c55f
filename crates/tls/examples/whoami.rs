//! A server that sends each client the name in its certificate, and a client that has one.
//!
//! ```text
//! cargo run -p ferretcd-tls --example whoami -- ca.pem server.pem server-key.pem client.pem client-key.pem
//! ```
//!
//! The server's certificate has to be for `localhost`.

use std::env;
use std::error::Error;

use ferretcd_tls::{ClientConfig, ClientTls, KeyFiles, ServerConfig, ServerTls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the program's output")]
async fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<_> = env::args().skip(1).map(std::path::PathBuf::from).collect();
    let [ca, cert, key, client_cert, client_key] = files.try_into().map_err(|_| "name five files")?;
    let trusted_ca = Some(ca);
    let shown = KeyFiles { cert, key };
    let server =
        ServerTls::load(ServerConfig { trusted_ca: trusted_ca.clone(), ..ServerConfig::new(shown) })?;
    let files = Some(KeyFiles { cert: client_cert, key: client_key });
    let client = ClientTls::load(ClientConfig { files, trusted_ca, ..ClientConfig::default() })?;

    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let serve = async {
        let (socket, remote) = listener.accept().await?;
        let mut accepted = server.accept(socket, remote).await?;
        let name = accepted.identity.map(|it| it.common_name.to_string()).unwrap_or_default();
        accepted.stream.write_all(name.as_bytes()).await?;
        accepted.stream.shutdown().await?;
        Ok::<_, Box<dyn Error>>(())
    };
    let request = async {
        let mut stream = client.connect("localhost", TcpStream::connect(address).await?).await?;
        let mut name = String::new();
        stream.read_to_string(&mut name).await?;
        println!("{name}");
        Ok::<_, Box<dyn Error>>(())
    };
    tokio::try_join!(serve, request)?;
    Ok(())
}
