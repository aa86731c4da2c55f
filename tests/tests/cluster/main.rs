//! Clusters of several processes: the services of each member, membership changes, and faults.
//!
//! Every test ends by comparing the hashes of all members. Tests under load check the responses, see
//! `ferretcd_tests::members::history`. Partitions of this suite are made by proxies and need no rights; those of the
//! suite `netns` drop packets.

mod changes;
mod corruption;
mod ctl;
mod dashboards;
mod debugging;
mod disks;
mod downgrade;
mod encrypted;
mod families;
mod faults;
mod leader;
mod learners;
mod metrics;
mod migration;
mod minority;
mod mixed;
mod partitions;
mod rejections;
mod resize;
mod restarts;
mod services;
mod snapshots;
mod support;

mod on_links {
    use ferretcd_tests::on_every_program;

    use super::partitions::{flapping, follower_isolated, leader_deaf, leader_isolated, leader_mute};

    on_every_program! {
        leader_is_isolated => leader_isolated(ferretcd_tests::members::Network::Links),
        leader_that_receives_nothing_steps_down => leader_deaf(ferretcd_tests::members::Network::Links),
        leader_that_sends_nothing_is_replaced => leader_mute(ferretcd_tests::members::Network::Links),
        follower_is_isolated => follower_isolated(ferretcd_tests::members::Network::Links),
        links_flap => flapping(ferretcd_tests::members::Network::Links),
    }
}
