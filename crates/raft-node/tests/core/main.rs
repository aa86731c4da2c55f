//! The core without threads, on disks and a network that the tests script: the rules it must keep, one by one.
//! Whole clusters under faults are in `ferretcd-sim`.

mod harness;
mod reads;
mod rules;
mod shrinking;
mod snapshots;
mod wire;
