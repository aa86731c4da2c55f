//! ferretcd's errors about unusable settings.

use ferretcd_testkit::certificates::{Authority, Files, put};
use ferretcd_tests::{Cluster, Ferretcd, Process, StartError};

use crate::secured::try_start;

/// The log of a start that fails with exit status 1.
async fn rejected(flags: &[String]) -> String {
    match try_start::<Process<Ferretcd>>(flags).await {
        Err(StartError::Exited { status, logs }) => {
            assert_eq!(status, "exit status: 1", "{logs}");
            logs
        }
        Err(error) => panic!("failed to {error}"),
        Ok(started) => panic!("started: {}", started.server.logs()),
    }
}

#[tokio::test]
async fn errors_name_the_file() {
    async fn check(files: &Files, expected: &str) {
        let logs = rejected(&files.flags()).await;
        let expected = expected.replace('"', "\\\"");
        assert!(logs.contains(&expected), "{expected}:\n{logs}");
        assert!(logs.contains("failed to start etcd server"), "{logs}");
    }
    let authority = Authority::new();
    let (good, other) = (authority.sign("good", &[], 1), authority.sign("other", &[], 2));
    let missing = Files { cert: "/nowhere/cert.pem".into(), ..good.clone() };
    check(&missing, "read \"/nowhere/cert.pem\": No such file or directory").await;
    let mixed = Files { key: other.key.clone(), ..good.clone() };
    check(&mixed, "the key is that of another certificate").await;
    put(&other.cert, b"nothing");
    let expected = format!("find a certificate in {:?}: it needs a PEM section CERTIFICATE", other.cert);
    check(&other, &expected).await;
}

#[tokio::test]
async fn errors_name_the_flag() {
    let logs = rejected(&[]).await;
    assert!(
        logs.contains("TLS key/cert (--cert-file, --key-file) must be provided for client url"),
        "{logs}"
    );
    let logs = rejected(&["--cert-file=a".to_owned()]).await;
    assert!(logs.contains("--cert-file and --key-file must both be present"), "{logs}");
    let logs = rejected(&["--auto-tls".to_owned(), "--cipher-suites=TLS_MADE_UP".to_owned()]).await;
    assert!(logs.contains("unexpected TLS cipher suite"), "{logs}");
}
