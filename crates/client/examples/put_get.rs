//! Puts a key on a cluster and reads it back.
//!
//! ```text
//! cargo run -p ferretcd-client --example put_get -- KEY VALUE http://127.0.0.1:2379 http://127.0.0.1:22379
//! ```

use std::io::Write as _;
use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::{PutRequest, RangeRequest};
use ferretcd_client::{Client, Config};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(key), Some(value)) = (words.next(), words.next()) else {
        return Err("usage: put_get KEY VALUE ENDPOINT...".into());
    };
    let timeout = Some(Duration::from_secs(5));
    let client =
        Client::new(Config { connect_timeout: timeout, request_timeout: timeout, ..Config::new(words) })?;

    let put = PutRequest { key: key.clone().into(), value: value.into(), ..PutRequest::default() };
    client.call(put).await?;
    // Sent again to the next endpoint if this member fails meanwhile; the put is not.
    let response = client.call(RangeRequest { key: key.into(), ..RangeRequest::default() }).await?;
    for row in &response.kvs {
        let row = row.decode()?;
        let value = String::from_utf8_lossy(&row.value);
        writeln!(std::io::stdout(), "revision {}: {value}", row.mod_revision)?;
    }
    Ok(())
}
