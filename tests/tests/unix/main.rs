//! Servers whose URLs are Unix sockets: clients and peers at paths, in the clear and with TLS. What etcd serves in the same
//! way runs on real etcd as well.

mod clients;
mod files;
mod member;
mod peers;

use ferretcd_tests::on_every_program;

use self::clients::{both_schemes, http_and_metrics, kinds_of_paths};
use self::files::killed;
use self::peers::in_the_working_directory;

on_every_program! {
    clients_reach_every_kind_of_path => kinds_of_paths(),
    both_schemes_share_a_path => both_schemes(),
    http_and_metrics_have_paths_of_their_own => http_and_metrics(),
    a_killed_server_starts_again_on_its_path => killed(),
    peers_talk_in_the_working_directory => in_the_working_directory(),
}
