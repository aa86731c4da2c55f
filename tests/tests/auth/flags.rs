//! Flags about authentication that a server can't start with.

use std::fs;

use ferretcd_tests::{Cluster, Options, StartError, report};

use crate::support::keys::SigningKey;
use crate::support::{ends, root, started_with, texts};

on_both! {
    tokens_without_a_known_provider => providers(),
    keys_that_cannot_be_used => keys(),
    times_that_make_no_sense => times(),
    unknown_options_are_ignored => unknown_options(),
}

/// The exit status for values that are rejected when the server prepares its start, and for those that no flag of this
/// kind can have.
const UNUSABLE: &str = "exit status: 1";
const UNREADABLE: &str = "exit status: 2";

/// Asserts that the server ends with a status before it serves. etcd's log says little about the reason; ferretcd's has
/// each of `words`.
async fn is_rejected<C: Cluster>(flag: &str, words: &[&str]) {
    is_rejected_with::<C>(UNUSABLE, flag, words).await;
}

async fn is_rejected_with<C: Cluster>(expected: &str, flag: &str, words: &[&str]) {
    match C::start(&Options { flags: vec![flag.to_owned()] }).await {
        Err(StartError::Exited { status, logs }) => {
            assert_eq!(status, expected, "{flag}:\n{logs}");
            for word in words.iter().filter(|_| !C::KIND.reference) {
                assert!(logs.contains(word), "{flag}: no {word} in\n{logs}");
            }
        }
        Err(error) => panic!("{flag}: failed to {error}"),
        Ok(started) => panic!("{flag}: started: {}", started.logs()),
    }
}

async fn providers<C: Cluster>() {
    if !report::available::<C>("unknown kinds of tokens") {
        return;
    }
    for (value, word) in [
        ("nonsense", "nonsense"),
        ("JWT,sign-method=HS256", "JWT"),
        ("jwt", "sign-method"),
        ("jwt,sign-method", "sign-method"),
        ("jwt,sign-method=", "sign-method"),
        ("jwt,sign-method=XS256", "XS256"),
        ("jwt,sign-method=hs256", "hs256"),
        ("jwt,sign-method=none", "none"),
        ("jwt,sign-method=HS256,sign-method=HS256", "sign-method"),
        ("jwt,sign-method=HS256", "priv-key"),
        ("jwt,sign-method=RS256", "priv-key"),
    ] {
        is_rejected::<C>(&format!("--auth-token={value}"), &["--auth-token", word]).await;
    }
}

async fn keys<C: Cluster>() {
    if !report::available::<C>("unusable keys") {
        return;
    }
    let [first, second] = [(); 2].map(|()| SigningKey::pair("RS256", &rcgen::PKCS_RSA_SHA256));
    let other = SigningKey::pair("ES256", &rcgen::PKCS_ECDSA_P256_SHA256);
    let larger = SigningKey::pair("ES256", &rcgen::PKCS_ECDSA_P384_SHA384);
    let [private, public] = [first.private(), first.public()].map(|path| path.display().to_string());
    let nothing = first.private().with_file_name("nothing.pem").display().to_string();
    let text = first.private().with_file_name("text.pem");
    fs::write(&text, "no key").expect("the file can be written");
    let empty = first.private().with_file_name("empty.pem");
    fs::write(&empty, "").expect("the file can be written");
    let [text, empty] = [text, empty].map(|path| path.display().to_string());
    let [other_private, second_public] =
        [other.private(), second.public()].map(|path| path.display().to_string());

    let check = async |options: &[&str], word: &str| {
        is_rejected::<C>(&first.flag_with(options), &["--auth-token", word]).await;
    };
    check(&[&format!("priv-key={nothing}")], &nothing).await;
    check(&[&format!("pub-key={nothing}")], &nothing).await;
    check(&[&format!("priv-key={private}"), &format!("pub-key={nothing}")], &nothing).await;
    check(&[&format!("priv-key={text}")], &text).await;
    check(&[&format!("priv-key={empty}")], &empty).await;
    check(&[&format!("pub-key={text}")], &text).await;
    // The files are the wrong way round, of another kind, of another pair.
    check(&[&format!("priv-key={public}")], &public).await;
    check(&[&format!("pub-key={private}")], &private).await;
    check(&[&format!("priv-key={other_private}")], &other_private).await;
    check(&[&format!("priv-key={private}"), &format!("pub-key={second_public}")], &second_public).await;
    let secret = SigningKey::secret("");
    is_rejected::<C>(&secret.flag(), &["--auth-token", &secret.private().display().to_string()]).await;
    // A curve that does not fit the method is found at the first login in etcd.
    if !C::KIND.reference {
        is_rejected::<C>(&larger.flag(), &["--auth-token", &larger.private().display().to_string()]).await;
    }
}

async fn times<C: Cluster>() {
    if !report::available::<C>("times of tokens that make no sense") {
        return;
    }
    let key = SigningKey::secret("a secret");
    let private = format!("priv-key={}", key.private().display());
    for ttl in ["soon", "5", "5 m", "m"] {
        let flag = key.flag_with(&[&private, &format!("ttl={ttl}")]);
        is_rejected::<C>(&flag, &["--auth-token", "ttl"]).await;
    }
    for value in ["soon", "5s"] {
        is_rejected_with::<C>(UNREADABLE, &format!("--auth-token-ttl={value}"), &["auth-token-ttl"]).await;
    }
}

async fn unknown_options<C: Cluster>() {
    let key = SigningKey::secret("a secret");
    let private = format!("priv-key={}", key.private().display());
    for flag in [key.flag_with(&[&private, "another=7"]), key.flag_with(&[&private, "ttl="])] {
        let Some((_cluster, caller)) = started_with::<C>("unknown options", &[&flag]).await else { return };
        let root = root(&caller).await;
        ends(root.call(crate::support::requests::put("a")).await, texts::OK);
    }
}
