//! Watches of third-party clients: etcd's own Go client, and the crate etcd-client. The expectations are in
//! `tests/interop`.

use ferretcd_tests::{ClientProgram, Killable, Options, on_target};

const CLIENTV3: ClientProgram = ClientProgram {
    path: "clientv3",
    build: "(cd tests/interop/go/clientv3 && go test -c -trimpath -o ../../../../target/interop/clientv3 .)",
};

const ETCD_CLIENT: ClientProgram = ClientProgram {
    path: "rust/debug/ferretcd-interop",
    build: "cargo build --locked --manifest-path tests/interop/rust/Cargo.toml --target-dir target/interop/rust",
};

async fn suite<C: Killable>(program: ClientProgram, arguments: &[&str]) {
    // The default interval is 10 minutes.
    let options = Options { flags: vec!["--watch-progress-notify-interval=200ms".to_owned()] };
    program.run::<C>(arguments, &options).await;
}

macro_rules! suites {
    ($target:ident: $cluster:ty) => {
        on_target! { $target: $cluster,
            clientv3 => suite(super::CLIENTV3, &["-test.v", "-test.skip=^TestRestart"]),
            clientv3_over_restarts => suite(super::CLIENTV3, &["-test.v", "-test.run=^TestRestart"]),
            etcd_client => suite(super::ETCD_CLIENT, &["calls"]),
            etcd_client_over_restarts => suite(super::ETCD_CLIENT, &["restarts"]),
        }
    };
}

suites! { etcd37: ferretcd_tests::Process<ferretcd_tests::Etcd37> }
suites! { ferretcd: ferretcd_tests::Process<ferretcd_tests::Ferretcd> }
