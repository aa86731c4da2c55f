//! Images from outside: rows that come back, damage that is found, and what a real etcd makes of them.

mod damage;
mod etcd;
mod mutation;
mod round_trip;
mod trailer;

mod bytewise;
mod common;
mod naive;
