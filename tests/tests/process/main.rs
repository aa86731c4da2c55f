//! A member as a process of its machine: signals, sockets, directories that other programs use too, and members of the
//! cluster that are too old. The same cases run on real etcd, as far as it is not wanted otherwise.

mod directories;
mod endless;
mod old_members;
mod ports;
mod reload;
mod signals;
mod started;

use ferretcd_tests::on_every_program;

use self::directories::log_directories;
use self::ports::{errors, families};
use self::signals::{ended_starts, harmless};

on_every_program! {
    signals_of_no_concern_do_nothing => harmless(),
    a_start_ends_by_the_signal => ended_starts(),
    sockets_that_cannot_be_bound_are_reported => errors(),
    every_address_means_both_families => families(),
    the_directory_of_the_log_may_be_there => log_directories(),
}
