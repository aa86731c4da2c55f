//! The log from outside: its behaviour, its faults, and the logs of a real etcd.

mod behaviour;
mod crash;
mod damage;
mod etcd_log;

mod common;
mod model;
mod watched;
