//! What servers write: the lines of the log, the audit log, and spans for a collector.
//!
//! Expectations about lines that etcd writes too were recorded from etcd 3.7.1 and are compared with it in each run.

/// One test per suite and server: ferretcd and etcd 3.7 as processes.
macro_rules! on_both {
    ($($suites:tt)*) => {
        ferretcd_tests::on_target! { ferretcd: ferretcd_tests::Process<ferretcd_tests::Ferretcd>, $($suites)* }
        ferretcd_tests::on_target! { etcd37: ferretcd_tests::Process<ferretcd_tests::Etcd37>, $($suites)* }
    };
}

mod audit;
mod lines;
mod requests;
mod spans;
mod support;
mod trace;
