//! Heads of requests and responses.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// The status and the headers of a response.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| &**value)
    }
}

/// The head of a request. `framing` says how long its body is, unless `headers` do.
pub(super) fn of_request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    framing: &[(&str, &str)],
) -> Vec<u8> {
    let has = |name: &str| headers.iter().any(|(found, _)| found.eq_ignore_ascii_case(name));
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    let host = [("host", "127.0.0.1")];
    let usual = host.iter().chain(framing).filter(|(name, _)| !has(name));
    for (name, value) in usual.chain(headers) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Reads the head of a response.
pub(super) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Head> {
    let mut first = String::new();
    if stream.read_line(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status: {first:?}")))?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None if line.trim_end().is_empty() => return Ok(Head { status, headers }),
            None => return Err(io::Error::other(format!("no header: {line:?}"))),
        }
    }
}
