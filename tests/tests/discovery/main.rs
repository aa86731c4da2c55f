//! Founders that find each other: through a registry in another cluster, and through SRV records. The same on real
//! etcd, and with founders of both kinds.

mod founder;
mod names;
mod registry;
mod srv;

use ferretcd_tests::on_every_program;

use self::registry::{encrypted, founded, logged_in, misled, told_to_stop};
use self::srv::{certified, named, unnamed};

on_every_program! {
    a_registry_brings_founders_together => founded(),
    a_registry_may_be_wrong => misled(),
    a_registry_may_ask_who_registers => logged_in(),
    a_registry_may_be_encrypted => encrypted(),
    waiting_for_founders_ends_with_a_signal => told_to_stop(),
    srv_records_bring_founders_together => named(),
    srv_records_name_what_certificates_prove => certified(),
    srv_records_may_be_missing => unnamed(),
}
