//! Stock etcdctl manages users and roles: output, error texts and exit codes as scenarios, on one member and on three,
//! where each command goes to another member.

use ferretcd_tests::members::Together;
use ferretcd_tests::scenario::{CtlSession, run};
use ferretcd_tests::{Cluster, Etcd37, Ferretcd, on_every_target, on_target, report};

async fn suite<C: Cluster>(file: &str) {
    match CtlSession::available().await {
        Ok(()) => run::<C, CtlSession>(file).await,
        Err(missing) => {
            report::skipped(&format!("{file} on {}", C::KIND.name), &format!("failed to {missing}"));
        }
    }
}

on_every_target! {
    users => suite("auth/users.txt"),
    roles => suite("auth/roles.txt"),
    authentication => suite("auth/auth.txt"),
    server => suite("auth/server.txt"),
}

type Three<P> = Together<P, 3>;

on_target! { three_of_ferretcd: super::Three<super::Ferretcd>,
    users => suite("auth/users.txt"),
    roles => suite("auth/roles.txt"),
    authentication => suite("auth/auth.txt"),
}

on_target! { three_of_etcd37: super::Three<super::Etcd37>,
    users => suite("auth/users.txt"),
    roles => suite("auth/roles.txt"),
    authentication => suite("auth/auth.txt"),
}
