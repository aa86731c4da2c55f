//! Clusters with a network namespace for each member, between which packets are dropped.
//!
//! Needs root, `ip` and `nft`; without them the suite is skipped.

#[path = "../cluster/partitions.rs"]
mod partitions;
#[path = "../cluster/support.rs"]
#[expect(dead_code, reason = "the other suite needs more")]
mod support;

mod failover;

use ferretcd_tests::on_every_program;

use self::failover::failover;
use self::partitions::{flapping, follower_isolated, leader_deaf, leader_isolated, leader_mute};

on_every_program! {
    leader_is_isolated => leader_isolated(ferretcd_tests::members::Network::Namespaces),
    leader_that_receives_nothing_steps_down => leader_deaf(ferretcd_tests::members::Network::Namespaces),
    leader_that_sends_nothing_is_replaced => leader_mute(ferretcd_tests::members::Network::Namespaces),
    follower_is_isolated => follower_isolated(ferretcd_tests::members::Network::Namespaces),
    links_flap => flapping(ferretcd_tests::members::Network::Namespaces),
    a_killed_leader_is_replaced => failover(),
}
