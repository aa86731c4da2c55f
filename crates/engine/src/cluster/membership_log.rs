//! Log lines about changes of the members, in etcd's words.

use ferretcd_base::{ClusterId, MemberId};
use ferretcd_membership::{Member, Membership};

/// Logs how the members have changed.
pub(crate) fn log_changes(cluster: ClusterId, own: MemberId, before: &Membership, after: &Membership) {
    for member in after.members() {
        match before.member(member.id) {
            None => tracing::info!(
                "cluster-id" = %cluster,
                "local-member-id" = %own,
                "added-peer-id" = %member.id,
                "added-peer-peer-urls[]" = ?member.peer_urls,
                "added-peer-is-learner" = member.is_learner,
                "added member"
            ),
            Some(old) => log_change(cluster, own, old, member),
        }
    }
    for member in before.members().filter(|member| after.member(member.id).is_none()) {
        tracing::info!(
            "cluster-id" = %cluster,
            "local-member-id" = %own,
            "removed-remote-peer-id" = %member.id,
            "removed-remote-peer-urls[]" = ?member.peer_urls,
            "removed-remote-peer-is-learner" = member.is_learner,
            "removed member"
        );
    }
    log_version(cluster, own, before, after);
}

fn log_change(cluster: ClusterId, own: MemberId, before: &Member, after: &Member) {
    if after.is_voter() && !before.is_voter() {
        tracing::info!(
            "cluster-id" = %cluster,
            "local-member-id" = %own,
            "promoted-member-id" = %after.id,
            "promote member"
        );
    }
    if after.peer_urls != before.peer_urls {
        tracing::info!(
            "cluster-id" = %cluster,
            "local-member-id" = %own,
            "updated-remote-peer-id" = %after.id,
            "updated-remote-peer-urls[]" = ?after.peer_urls,
            "updated-remote-peer-is-learner" = after.is_learner,
            "updated member"
        );
    }
}

fn log_version(cluster: ClusterId, own: MemberId, before: &Membership, after: &Membership) {
    let short = |version: &str| {
        version.rsplit_once('.').map_or_else(|| version.to_owned(), |(short, _)| short.to_owned())
    };
    match (before.version(), after.version()) {
        (None, Some(version)) => tracing::info!(
            "cluster-id" = %cluster,
            "local-member-id" = %own,
            "cluster-version" = short(version),
            "set initial cluster version"
        ),
        (Some(from), Some(to)) if from != to => tracing::info!(
            "cluster-id" = %cluster,
            "local-member-id" = %own,
            from = short(from),
            to = short(to),
            "updated cluster version"
        ),
        _ => return,
    }
    let version = after.version().map(short).unwrap_or_default();
    tracing::info!("cluster-version" = version, "enabled capabilities for version");
    log_storage_version(before, after);
}

fn log_storage_version(before: &Membership, after: &Membership) {
    let (Some(version), true) =
        (after.storage_version(), after.storage_version() != before.storage_version())
    else {
        return;
    };
    tracing::info!("new-storage-version" = %version, "updated storage version");
    if let Some(target) = after.downgrade_target() {
        tracing::info!(
            "target-version" = target,
            "server-version" = ferretcd_api_proto::API_VERSION,
            "The server is ready to downgrade"
        );
    }
}
