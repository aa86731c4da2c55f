//! Signed tokens over changes of the key, and on several members.

use ferretcd_api_proto::authpb::permission::Type::Read;
use ferretcd_tests::members::{DEADLINE, Members, Setup, until};
use ferretcd_tests::{Caller, Program, on_every_program};

use super::HS256;
use crate::support::keys::{SigningKey, claims, forged};
use crate::support::requests::{put, range, role_add};
use crate::support::setup::{FAST_HASHES, log_in, user_with};
use crate::support::texts::{BAD_TOKEN, DENIED, FAILED, OK, OLD, VERIFY_ONLY};
use crate::support::{PASSWORD, ROOT, ends, outcome, root};

on_every_program! {
    a_public_key_verifies_and_does_not_sign => verify_only(),
    tokens_of_another_key_are_rejected => another_key(),
    any_member_takes_tokens_of_the_others => several_members(),
}

/// One member on data that survives its flags.
async fn one<P: Program>(flag: &str) -> Members<P> {
    let prepared = Members::<P>::prepare(&Setup::of(1).with(&[FAST_HASHES])).await;
    let mut cluster = prepared.unwrap_or_else(|error| panic!("failed to {error}"));
    cluster.give(0, &[flag]);
    cluster.restart(0).await;
    cluster
}

/// Restarts it with another flag, and waits until it takes this token, for better or worse.
async fn again<P: Program>(cluster: &mut Members<P>, flag: &str, token: &str) -> Caller {
    cluster.stop(0).await;
    cluster.give(0, &[flag]);
    cluster.spawn(0);
    let caller = Caller::of(&cluster.client_url(0));
    let holder = caller.with_token(token);
    until("the member serves again", DEADLINE, async || match holder.call(range("a", "")).await {
        Err(status) if outcome::<()>(&Err(status.clone())) != BAD_TOKEN => Err(status.to_string()),
        _ => Ok(()),
    })
    .await;
    caller
}

async fn verify_only<P: Program>() {
    for key in [
        SigningKey::pair("RS256", &rcgen::PKCS_RSA_SHA256),
        SigningKey::pair("ES256", &rcgen::PKCS_ECDSA_P256_SHA256),
        SigningKey::pair("EdDSA", &rcgen::PKCS_ED25519),
    ] {
        let mut cluster = one::<P>(&key.flag()).await;
        let root = root(&Caller::of(&cluster.client_url(0))).await;
        let caller = again(&mut cluster, &key.verify_only(), root.token()).await;
        let root = caller.with_token(root.token());
        ends(root.call(put("a")).await, OK);
        ends(root.call(range("a", "")).await, OK);
        ends(caller.log_in(ROOT, PASSWORD).await, VERIFY_ONLY);
        ends(caller.log_in(ROOT, "another").await, FAILED);
    }
}

async fn another_key<P: Program>() {
    let [first, second] = [(); 2].map(|()| SigningKey::pair("ES256", &rcgen::PKCS_ECDSA_P256_SHA256));
    let mut cluster = one::<P>(&first.flag()).await;
    let root = root(&Caller::of(&cluster.client_url(0))).await;
    let caller = again(&mut cluster, &second.flag(), root.token()).await;
    ends(caller.with_token(root.token()).call(put("a")).await, BAD_TOKEN);
    let root = log_in(&caller, ROOT).await;
    ends(root.call(put("a")).await, OK);
    // The public key of a pair is no secret for the other kind of signature.
    let public = std::fs::read(second.public()).expect("it was written");
    let text = claims(root.token());
    let confused = caller.with_token(&forged(HS256, &text, &public));
    ends(confused.call(put("a")).await, BAD_TOKEN);
}

async fn several_members<P: Program>() {
    let key = SigningKey::pair("EdDSA", &rcgen::PKCS_ED25519);
    let setup = Setup::of(3).with(&[FAST_HASHES, &key.flag()]);
    let cluster = Members::<P>::start(&setup).await;
    let callers: Vec<_> = cluster.client_urls(&[0, 1, 2]).iter().map(|url| Caller::of(url)).collect();
    let root = root(&callers[0]).await;
    let alice = user_with(&root, "alice", &[(Read, "a", "")]).await;
    for caller in &callers {
        let alice = caller.with_token(alice.token());
        ends(alice.call(range("a", "")).await, OK);
        ends(alice.call(put("a")).await, DENIED);
    }
    callers[1].with_token(root.token()).call(role_add("any")).await.expect("root may add roles");
    for caller in &callers {
        ends(caller.with_token(alice.token()).call(range("a", "")).await, OLD);
    }
}
