//! JSON over HTTP, as clients without gRPC see it.
//!
//! Expectations were recorded from etcd 3.7.1 and are compared with it again in each run. The [`table`] holds requests with
//! their responses as text; the other modules are about what happens over time, or with flags.

/// One test per suite and server: ferretcd and etcd 3.7 as processes.
macro_rules! on_both {
    ($($suites:tt)*) => {
        ferretcd_tests::on_target! { ferretcd: ferretcd_tests::Process<ferretcd_tests::Ferretcd>, $($suites)* }
        ferretcd_tests::on_target! { etcd37: ferretcd_tests::Process<ferretcd_tests::Etcd37>, $($suites)* }
    };
}

mod access;
mod certificates;
mod spelling;
mod streams;
mod support;
mod table;
mod web;
mod websocket;
