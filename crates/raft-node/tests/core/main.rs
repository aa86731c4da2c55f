//! The core without threads, on disks and a network that the tests script: the rules it must keep, one by one,
//! and whole clusters under faults.

mod harness;
mod reads;
mod rules;
mod simulation;
mod snapshots;
mod wire;
