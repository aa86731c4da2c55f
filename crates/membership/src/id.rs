//! Ids are SHA-1 digests of what the members were started with, so that every member computes the same
//! ones without talking to the others.

use ferretcd_base::{ClusterId, MemberId};
use sha1::{Digest, Sha1};

/// The id of a member that a new cluster starts with: its peer URLs and the cluster's token. The order of
/// the URLs does not matter; the member's name is no part of it.
pub fn initial_member_id(peer_urls: &[String], cluster_token: &str) -> MemberId {
    let mut urls: Vec<&str> = peer_urls.iter().map(String::as_str).collect();
    urls.sort_unstable();
    let mut hash = Sha1::new();
    for url in urls {
        hash.update(url);
    }
    hash.update(cluster_token);
    MemberId(leading_u64(hash))
}

/// The id of a member that is added to a running cluster: its peer URLs, in any order, and the time of the
/// request in seconds since 1970, so that a member that was removed may come back under another id.
pub fn added_member_id(peer_urls: &[String], unix_seconds: u64) -> MemberId {
    // Where the members of a new cluster have its token.
    initial_member_id(peer_urls, &unix_seconds.to_string())
}

/// The id of a cluster, fixed for its life by the members it was started with, in any order.
pub fn cluster_id(initial_members: &[MemberId]) -> ClusterId {
    let mut ids = initial_members.to_vec();
    ids.sort_unstable();
    let mut hash = Sha1::new();
    for id in ids {
        hash.update(id.0.to_be_bytes());
    }
    ClusterId(leading_u64(hash))
}

fn leading_u64(hash: Sha1) -> u64 {
    let digest = hash.finalize();
    u64::from_be_bytes(digest[..8].try_into().expect("a SHA-1 digest has 20 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(urls: &[&str], token: &str, expected: &[&str], cluster: &str) {
        let ids: Vec<MemberId> =
            urls.iter().map(|url| initial_member_id(&[(*url).to_owned()], token)).collect();
        let shown: Vec<String> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected);
        assert_eq!(cluster_id(&ids).to_string(), cluster);
        let reversed: Vec<MemberId> = ids.iter().rev().copied().collect();
        assert_eq!(cluster_id(&reversed).to_string(), cluster);
    }

    #[test]
    fn ids_are_those_of_a_running_etcd() {
        check(&["http://127.0.0.1:34380"], "tok-1", &["5fbb3a8679b0cd10"], "f716b7201c12172");
        check(&["http://localhost:2380"], "etcd-cluster", &["8e9e05c52164694d"], "cdf818194e3a8c32");
        check(
            &["http://127.0.0.1:12380", "http://127.0.0.1:22380", "http://127.0.0.1:32380"],
            "etcd-cluster-1",
            &["8211f1d0f64f3269", "91bc3c398fb3c146", "fd422379fda50e48"],
            "ef37ad9dc622a7c4",
        );
    }

    #[test]
    fn an_added_member_has_the_id_that_etcd_gave_it() {
        let urls = ["http://127.0.0.1:39999".to_owned(), "http://127.0.0.1:39998".to_owned()];
        assert_eq!(added_member_id(&urls, 1_795_182_361).to_string(), "747c6568548d34f0");
    }

    #[test]
    fn the_order_of_urls_is_irrelevant() {
        let one = initial_member_id(&["http://b:1".to_owned(), "http://a:1".to_owned()], "t");
        let two = initial_member_id(&["http://a:1".to_owned(), "http://b:1".to_owned()], "t");
        assert_eq!(one, two);
    }
}
