//! The KV service and what of Maintenance belongs to it, as scenarios on every target.

use ferretcd_tests::scenario::{KvSession, run};
use ferretcd_tests::{Etcd34, Etcd37, Ferretcd, Process};

macro_rules! suites {
    ($target:ident: $program:ty, $($suite:ident)*) => {
        mod $target {
            use super::*;

            $(
                #[tokio::test]
                async fn $suite() {
                    run::<Process<$program>, KvSession>(concat!("kv/", stringify!($suite), ".txt")).await;
                }
            )*
        }
    };
    ($($suite:ident)*) => {
        suites!(ferretcd: Ferretcd, $($suite)*);
        suites!(etcd34: Etcd34, $($suite)*);
        suites!(etcd37: Etcd37, $($suite)*);
    };
}

suites! { range stream put delete txn txn_form compact hash headers alarms durable }
