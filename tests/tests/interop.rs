//! Third-party clients. Watches of etcd's own Go client and of the crate etcd-client, with expectations in
//! `tests/interop`; and, over the JSON gateway, the published suites of etcd3gw and tooz.

use ferretcd_tests::{ClientProgram, Killable, Options, on_target};

const CLIENTV3: ClientProgram = ClientProgram {
    path: "clientv3",
    build: "(cd tests/interop/go/clientv3 && go test -c -trimpath -o ../../../../target/interop/clientv3 .)",
};

const ETCD_CLIENT: ClientProgram = ClientProgram {
    path: "rust/debug/ferretcd-interop",
    build: "cargo build --locked --manifest-path tests/interop/rust/Cargo.toml --target-dir target/interop/rust",
};

const PYTHON: ClientProgram =
    ClientProgram { path: "python/suites/bin/python", build: "tests/interop/python/prepare suites" };
const PYTHON_SUITES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/python/suites.py");

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
            etcd3gw => suite(super::PYTHON, &[super::PYTHON_SUITES, "etcd3gw"]),
            tooz => suite(super::PYTHON, &[super::PYTHON_SUITES, "tooz"]),
        }
    };
}

suites! { etcd37: ferretcd_tests::Process<ferretcd_tests::Etcd37> }
suites! { ferretcd: ferretcd_tests::Process<ferretcd_tests::Ferretcd> }
