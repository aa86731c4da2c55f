//! Clusters of several processes: what each member serves, how the members change, and what faults do to them.
//!
//! Every test ends with the hashes of all members compared. Those under load have their answers judged, see
//! `ferretcd_tests::members::history`. Partitions of this suite are made by proxies and need no rights; those of the
//! suite `netns` drop packets.

mod changes;
mod corruption;
mod ctl;
mod disks;
mod encrypted;
mod faults;
mod leader;
mod learners;
mod metrics;
mod minority;
mod mixed;
mod partitions;
mod refusals;
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
        leader_hears_nobody => leader_deaf(ferretcd_tests::members::Network::Links),
        leader_reaches_nobody => leader_mute(ferretcd_tests::members::Network::Links),
        follower_is_isolated => follower_isolated(ferretcd_tests::members::Network::Links),
        links_flap => flapping(ferretcd_tests::members::Network::Links),
    }
}
