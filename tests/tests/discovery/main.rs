//! Founders that find each other: through a registry in another cluster, and through SRV records. The same tests run
//! on real etcd, and with founders of both kinds.

mod founder;
mod names;
mod registry;
mod srv;

use ferretcd_tests::on_every_program;

use self::registry::{authenticated, encrypted, registered, registry_errors, terminated};
use self::srv::{certified, resolved, unresolved};

on_every_program! {
    founders_form_a_cluster_through_a_registry => registered(),
    errors_of_a_registry_are_reported => registry_errors(),
    founders_authenticate_to_a_registry => authenticated(),
    a_registry_is_reached_through_tls => encrypted(),
    waiting_for_founders_ends_with_a_signal => terminated(),
    founders_form_a_cluster_through_srv_records => resolved(),
    certificates_are_verified_for_the_srv_domain => certified(),
    missing_srv_records_are_reported => unresolved(),
}
