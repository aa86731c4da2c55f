//! Users that are named by the certificates of clients.

use ferretcd_api_proto::authpb::permission::Type::{Readwrite, Write};
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Cluster, Secured};

use crate::support::requests::{
    lease, put, range, role_add, role_get, user_add_without_password, user_delete, user_get, user_grant,
    watch,
};
use crate::support::setup::{FAST_HASHES, log_in, user_with};
use crate::support::texts::{BAD_TOKEN, DENIED, NO_SUCH_USER, NO_USER, OK, as_reason};
use crate::support::{ROOT, ends, grant, root};

on_both! {
    the_common_name_is_the_user => common_name(),
    a_token_wins_over_the_certificate => token_wins(),
    common_names_without_a_user => unknown_names(),
    certificates_say_nothing_without_the_flag => not_requested(),
    rights_change_under_a_connection => changes(),
}

const ASKED: [&str; 2] = [FAST_HASHES, "--client-cert-auth"];

async fn common_name<C: Cluster>() {
    let Some(server) = Secured::<C>::start_trusting("common names", &ASKED).await else { return };
    let root_by_name = server.named(ROOT);
    root(&root_by_name).await;
    // No login is needed any more.
    ends(root_by_name.call(role_add("alice")).await, OK);
    grant(&root_by_name, "alice", Readwrite, "a", "").await;
    root_by_name.call(user_add_without_password("alice")).await.expect("root may add users");
    root_by_name.call(user_grant("alice", "alice")).await.expect("both exist");
    let alice = server.named("alice");
    ends(alice.call(put("a")).await, OK);
    ends(alice.call(range("a", "")).await, OK);
    ends(alice.call(put("b")).await, DENIED);
    ends(alice.call(user_get("alice")).await, OK);
    ends(alice.call(role_get("alice")).await, OK);
    ends(alice.call(role_add("bob")).await, DENIED);
    ends(alice.call(lease(1)).await, OK);
    ends(alice.call(pb::StatusRequest {}).await, OK);
    let mut stream = alice.watch();
    stream.created(watch("a", "")).await;
    stream.create(watch("b", "")).await;
    assert_eq!(stream.response().await.cancel_reason, as_reason(DENIED));
    ends(alice.renew(&[1]).await, OK);
    // Requests of the gateway come with the certificate of the server, so they name no user.
    ends(alice.with(&[("grpcgateway-accept", "*/*")]).call(range("a", "")).await, NO_USER);
}

async fn token_wins<C: Cluster>() {
    let Some(server) = Secured::<C>::start_trusting("certificates and tokens", &ASKED).await else { return };
    let root = root(&server.named(ROOT)).await;
    let bob = user_with(&root, "bob", &[(Write, "b", "")]).await;
    user_with(&root, "alice", &[(Write, "a", "")]).await;
    let alice = server.named("alice");
    ends(alice.call(put("a")).await, OK);
    ends(alice.call(put("b")).await, DENIED);
    let both = alice.with_token(bob.token());
    ends(both.call(put("a")).await, DENIED);
    ends(both.call(put("b")).await, OK);
    ends(alice.with_token("garbage").call(put("a")).await, BAD_TOKEN);
    ends(alice.with_token("").call(put("a")).await, BAD_TOKEN);
    ends(server.named("stranger").with_token(bob.token()).call(put("b")).await, OK);
}

/// The certificate is good, but there is no such user.
async fn unknown_names<C: Cluster>() {
    let Some(server) = Secured::<C>::start_trusting("unknown common names", &ASKED).await else { return };
    let root = root(&server.named(ROOT)).await;
    let stranger = server.named("stranger");
    ends(stranger.call(put("a")).await, DENIED);
    ends(stranger.call(range("a", "")).await, DENIED);
    ends(stranger.call(role_add("r")).await, NO_SUCH_USER);
    ends(stranger.call(pb::DefragmentRequest {}).await, NO_SUCH_USER);
    ends(stranger.call(user_get("stranger")).await, NO_SUCH_USER);
    ends(stranger.call(lease(1)).await, OK);
    ends(stranger.call(pb::StatusRequest {}).await, OK);
    ends(stranger.call(pb::MemberListRequest::default()).await, OK);
    let mut stream = stranger.watch();
    stream.create(watch("a", "")).await;
    assert_eq!(stream.response().await.cancel_reason, as_reason(DENIED));
    // An empty common name is one of those.
    let nameless = server.named("");
    ends(nameless.call(put("a")).await, DENIED);
    ends(nameless.call(role_add("r")).await, NO_USER);
    ends(nameless.call(lease(2)).await, OK);
    ends(root.call(put("a")).await, OK);
}

/// A server that verifies certificates for the connection alone.
async fn not_requested<C: Cluster>() {
    let Some(server) = Secured::<C>::start_trusting("certificates without the flag", &[FAST_HASHES]).await
    else {
        return;
    };
    let caller = server.named(ROOT);
    root(&caller).await;
    ends(caller.call(range("a", "")).await, NO_USER);
    ends(log_in(&caller, ROOT).await.call(range("a", "")).await, OK);
}

/// The certificate stays, the user does not.
async fn changes<C: Cluster>() {
    let Some(server) = Secured::<C>::start_trusting("users of open connections", &ASKED).await else {
        return;
    };
    let root = root(&server.named(ROOT)).await;
    let alice = server.named("alice");
    ends(alice.call(put("a")).await, DENIED);
    user_with(&root, "alice", &[(Write, "a", "")]).await;
    ends(alice.call(put("a")).await, OK);
    root.call(user_delete("alice")).await.expect("it exists");
    ends(alice.call(put("a")).await, DENIED);
    root.call(pb::AuthDisableRequest {}).await.expect("root may disable it");
    ends(alice.call(put("a")).await, OK);
}
