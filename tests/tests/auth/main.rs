//! Users, roles and tokens, as clients see them.
//!
//! Expectations were recorded from etcd 3.7.1 and are compared with it again in each run. The [`table`] of all methods
//! and identities has none of its own: it compares the two servers. etcd 3.4 runs the scenarios of etcdctl only: many
//! outcomes of single calls were others then.

/// One test per suite and server: ferretcd and etcd 3.7 as processes.
macro_rules! on_both {
    ($($suites:tt)*) => {
        ferretcd_tests::on_target! { ferretcd: ferretcd_tests::Process<ferretcd_tests::Ferretcd>, $($suites)* }
        ferretcd_tests::on_target! { etcd37: ferretcd_tests::Process<ferretcd_tests::Etcd37>, $($suites)* }
    };
}

mod better;
mod certificates;
mod cluster;
mod ctl;
mod flags;
mod holes;
mod jwt;
mod leases;
mod logins;
mod management;
mod permissions;
mod revisions;
mod secrets;
mod support;
mod switch;
mod table;
mod tokens;
mod txn;
mod watches;
