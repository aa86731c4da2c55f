//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// By how much restoring raises the revision. No client has seen so many that the backup did not have.
const BUMP_REVISION: u64 = 1_000_000_000;

/// Looks after the files of a member of ferretcd that is down.
#[derive(Debug, Parser)]
#[command(name = "ferretutl", disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Works with snapshot files.
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Leaves the data directory of a member to etcd.
    ///
    /// The log stays as it is; etcd's database is made of the state file, which is put aside. Then etcd 3.7 is started with
    /// the same flags. The other way needs no command: ferretcd is started on the directory of an etcd.
    Migrate(Migrate),
    /// Prints the version.
    Version,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Snapshot {
    /// Makes the data directory of a new member from a snapshot file, saved by ferretcd or by etcd.
    ///
    /// Every member of the new cluster is restored from the same file, each with its own name and URLs. The revision is
    /// raised by a billion, so that clients notice that they have seen more than there is; their watches end as compacted.
    Restore(Restore),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// The snapshot file.
    pub(crate) file: PathBuf,
    /// The directory to make; by default NAME.etcd.
    #[arg(long)]
    pub(crate) data_dir: Option<PathBuf>,
    /// The directory of the log; by default member/wal in the data directory.
    #[arg(long)]
    pub(crate) wal_dir: Option<PathBuf>,
    /// The name of the member.
    #[arg(long, default_value = "default")]
    pub(crate) name: String,
    /// All members of the new cluster, as NAME=URL,...
    #[arg(long, default_value = "default=http://localhost:2380")]
    pub(crate) initial_cluster: String,
    /// The token that makes the ids of the new cluster different from those of others.
    #[arg(long, default_value = "etcd-cluster")]
    pub(crate) initial_cluster_token: String,
    /// The URLs of the member in the initial cluster.
    #[arg(long, default_value = "http://localhost:2380")]
    pub(crate) initial_advertise_peer_urls: String,
    /// Accepts a file without a hash, such as a copy of etcd's database.
    #[arg(long)]
    pub(crate) skip_hash_check: bool,
    /// By how much the revision is raised; 0 leaves it as it was.
    #[arg(long, default_value_t = BUMP_REVISION)]
    pub(crate) bump_revision: u64,
    /// Accepted as etcdutl has it: what is raised is always marked as compacted.
    #[arg(long)]
    pub(crate) mark_compacted: bool,
    /// Accepted as etcdutl has it: no memory is mapped.
    #[arg(long, hide = true)]
    pub(crate) initial_memory_map_size: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    /// The data directory of the member.
    #[arg(long)]
    pub(crate) data_dir: PathBuf,
    /// The directory of the log, if it is not in the data directory.
    #[arg(long)]
    pub(crate) wal_dir: Option<PathBuf>,
    /// The program that goes on with the directory.
    #[arg(long)]
    pub(crate) to: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// etcd 3.7.
    Etcd,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_commands_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_flags_of_etcdutl_are_understood() {
        let line = "ferretutl snapshot restore s.db --name a --data-dir d --initial-cluster a=http://h:1 \
                    --initial-cluster-token t --initial-advertise-peer-urls http://h:1 --skip-hash-check \
                    --bump-revision 5 --mark-compacted --initial-memory-map-size 10737418240 --wal-dir w";
        let args = Args::try_parse_from(line.split_whitespace()).expect("they are flags");
        let Command::Snapshot(Snapshot::Restore(restore)) = args.command else { panic!("another command") };
        assert_eq!((restore.bump_revision, restore.skip_hash_check), (5, true));
    }
}
