//! A server with TLS, and its clients.

use std::net::Ipv4Addr;
use std::process::Output;
use std::time::Duration;

use ferretcd_testkit::certificates::{Authority, Files};
use ferretcd_tests::scenario::CtlSession;
use ferretcd_tests::{Cluster, StartError, report, start_secured};
use ferretcd_tls::{ClientConfig, ClientTls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

/// A command that takes longer is taken for hanging.
pub(crate) const DONE_WITHIN: Duration = Duration::from_secs(30);

/// A server with an `https` client URL.
pub(crate) struct Secured<C> {
    pub(crate) server: C,
    pub(crate) port: u16,
}

impl<C: Cluster> Secured<C> {
    /// `None` if the server or etcdctl is not available on this machine, which is reported.
    pub(crate) async fn start(flags: &[String]) -> Option<Self> {
        if let Err(missing) = C::available() {
            // A missing ferretcd is a failure.
            assert!(C::KIND.reference, "failed to {missing}");
            report::skipped(C::KIND.name, &format!("failed to {missing}"));
            return None;
        }
        if let Err(missing) = CtlSession::available().await {
            report::skipped(C::KIND.name, &format!("failed to {missing}"));
            return None;
        }
        Some(try_start(flags).await.unwrap_or_else(|error| panic!("failed to {error}")))
    }

    /// etcdctl that trusts an authority, with or without a certificate of its own.
    pub(crate) fn as_client(&self, authority: &Authority, files: Option<&Files>) -> Etcdctl {
        let mut flags = vec![format!("--cacert={}", authority.certificate().display())];
        if let Some(files) = files {
            flags.push(format!("--cert={}", files.cert.display()));
            flags.push(format!("--key={}", files.key.display()));
        }
        Etcdctl { endpoint: format!("https://127.0.0.1:{}", self.port), flags }
    }

    /// etcdctl that does not verify the server.
    pub(crate) fn without_verification(&self) -> Etcdctl {
        let flags = vec!["--insecure-skip-tls-verify".to_owned(), "--insecure-transport=false".to_owned()];
        Etcdctl { endpoint: format!("https://127.0.0.1:{}", self.port), flags }
    }

    /// etcdctl without TLS.
    pub(crate) fn in_the_clear(&self) -> Etcdctl {
        Etcdctl { endpoint: format!("http://127.0.0.1:{}", self.port), flags: Vec::new() }
    }

    /// The response of a page over HTTP/1.1.
    pub(crate) async fn page(&self, config: ClientConfig, path: &str) -> String {
        let tls = ClientTls::load(config).expect("the files are good");
        let page = async {
            let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.expect("it listens");
            let mut stream = tls.connect("127.0.0.1", socket).await.expect("it is the server");
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("it reads");
            let mut response = Vec::new();
            stream.read_to_end(&mut response).await.expect("it ends the connection in order");
            String::from_utf8_lossy(&response).into_owned()
        };
        timeout(DONE_WITHIN, page).await.expect("the page responds")
    }
}

/// Starts a server with an `https` client URL besides `flags`.
pub(crate) async fn try_start<C: Cluster>(flags: &[String]) -> Result<Secured<C>, StartError> {
    let (server, port) = start_secured(flags).await?;
    Ok(Secured { server, port })
}

/// Stock etcdctl.
pub(crate) struct Etcdctl {
    endpoint: String,
    flags: Vec<String>,
}

impl Etcdctl {
    async fn run(&self, words: &[&str], patience: &str) -> Output {
        let mut command = Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .env_remove("ETCDCTL_ENDPOINTS")
            .arg(format!("--endpoints={}", self.endpoint))
            .arg(format!("--command-timeout={patience}"))
            .arg(format!("--dial-timeout={patience}"))
            .args(&self.flags)
            .args(words)
            .kill_on_drop(true);
        timeout(DONE_WITHIN, command.output()).await.expect("it comes to an end").expect("it runs")
    }

    /// Expects success and this stdout.
    pub(crate) async fn succeeds(&self, words: &[&str], expected: &str) {
        let output = self.run(words, "20s").await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{words:?}: {stderr}");
        assert!(output.status.success(), "{words:?}: {stderr}");
    }

    /// Expects success; returns stdout.
    pub(crate) async fn stdout_of(&self, words: &[&str]) -> String {
        let output = self.run(words, "20s").await;
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Expects that it gets no connection.
    pub(crate) async fn fails(&self, words: &[&str]) {
        let output = self.run(words, "1s").await;
        assert!(!output.status.success(), "{words:?}: {output:?}");
    }
}
