//! Signed tokens (JWT).

mod members;

use ferretcd_api_proto::authpb::permission::Type::Readwrite;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::{DEADLINE, until};
use ferretcd_tests::{Caller, Cluster, Killable};

use crate::support::keys::{SigningKey, claims, forged, unsigned};
use crate::support::requests::{
    lease, put, put_lease, range, role_add, time_to_live, user_add, user_delete, user_get, user_grant,
    user_password, watch,
};
use crate::support::setup::{log_in, user_with};
use crate::support::texts::{BAD_TOKEN, DENIED, NO_SUCH_USER, OK, OLD, as_reason};
use crate::support::{PASSWORD, ROOT, ends, grant, root, started_with};

on_both! {
    tokens_of_each_method => methods(),
    tokens_say_their_user_and_revision => contents(),
    old_tokens_have_no_right_to_keys => old_revision(),
    tokens_outlive_what_simple_ones_do_not => survivors(),
    forged_tokens_are_rejected => forgeries(),
    tokens_end_with_their_time => expiry(),
}

const SECRET: &str = "a secret that the test knows";
const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

async fn methods<C: Cluster>() {
    let keys = [
        SigningKey::pair("RS256", &rcgen::PKCS_RSA_SHA256),
        SigningKey::pair("RS512", &rcgen::PKCS_RSA_SHA256),
        SigningKey::pair("PS256", &rcgen::PKCS_RSA_SHA256),
        SigningKey::pair("ES256", &rcgen::PKCS_ECDSA_P256_SHA256),
        SigningKey::pair("ES384", &rcgen::PKCS_ECDSA_P384_SHA384),
        SigningKey::pair("EdDSA", &rcgen::PKCS_ED25519),
        SigningKey::secret(SECRET),
    ];
    for key in keys {
        let Some((_cluster, caller)) = started_with::<C>("methods of tokens", &[&key.flag()]).await else {
            return;
        };
        let root = root(&caller).await;
        let alice = user_with(&root, "alice", &[(Readwrite, "a", "")]).await;
        ends(alice.call(put("a")).await, OK);
        ends(alice.call(range("a", "")).await, OK);
        ends(alice.call(range("b", "")).await, DENIED);
        let token = alice.token();
        let bearer = format!("Bearer {token}");
        ends(caller.with(&[("authorization", &bearer)]).call(range("a", "")).await, OK);
        let (signed, _) = token.rsplit_once('.').expect("there is a signature");
        let root_signature = log_in(&caller, ROOT).await.token().rsplit('.').next().map(str::to_owned);
        let other = format!("{signed}.{}", root_signature.expect("there is a signature"));
        for bad in [signed, &format!("{signed}."), &other, &token.replace('.', ""), "a.b.c", ""] {
            ends(caller.with_token(bad).call(range("a", "")).await, BAD_TOKEN);
        }
    }
}

async fn contents<C: Cluster>() {
    let key = SigningKey::secret(SECRET);
    let Some((_cluster, caller)) = started_with::<C>("claims", &[&key.flag()]).await else { return };
    let root = root(&caller).await;
    let status = caller.call(pb::AuthStatusRequest {}).await.expect("it needs no login");
    let claims = claims(root.token());
    let expected = format!("\"revision\":{},\"username\":\"root\"}}", status.auth_revision);
    assert!(claims.starts_with("{\"exp\":") && claims.ends_with(&expected), "{claims}");
    let header = root.token().split('.').next().map(str::to_owned);
    assert_eq!(header.as_deref(), unsigned(HS256, "").split('.').next());
}

/// A change of users or roles, any at all, makes tokens too old for keys, but not for the rest.
async fn old_revision<C: Cluster>() {
    let key = SigningKey::secret(SECRET);
    let Some((_cluster, caller)) = started_with::<C>("old tokens", &[&key.flag()]).await else { return };
    let root = root(&caller).await;
    for id in [1, 2] {
        root.call(lease(id)).await.expect("root may grant leases");
    }
    root.call(put_lease("b", 1)).await.expect("root may attach keys");
    let alice = user_with(&root, "alice", &[(Readwrite, "a", "c")]).await;
    let root = log_in(&caller, ROOT).await;
    ends(alice.call(put("a")).await, OK);
    root.call(role_add("any")).await.expect("root may add roles");
    for old in [&alice, &root] {
        ends(old.call(put("a")).await, OLD);
        ends(old.call(range("a", "")).await, OLD);
        ends(old.call(crate::support::requests::delete("a", "")).await, OLD);
        ends(old.call(crate::support::requests::txn(put("a"))).await, OLD);
        ends(old.range_stream(range("a", "")).await, OLD);
        let mut stream = old.watch();
        stream.create(watch("a", "")).await;
        assert_eq!(stream.response().await.cancel_reason, as_reason(OLD));
        ends(old.call(lease(0)).await, OK);
        ends(old.call(pb::StatusRequest {}).await, OK);
        ends(old.call(pb::AuthStatusRequest {}).await, OK);
        ends(old.call(time_to_live(1, false)).await, OK);
    }
    // Leases are about keys for users other than root.
    ends(alice.call(time_to_live(1, true)).await, OLD);
    ends(alice.call(pb::LeaseLeasesRequest {}).await, OLD);
    ends(root.call(time_to_live(1, true)).await, OK);
    ends(root.call(pb::LeaseLeasesRequest {}).await, OK);
    ends(alice.call(time_to_live(2, true)).await, OK);
    // Root's management goes on with the old token, too.
    ends(alice.call(user_get("alice")).await, OK);
    ends(root.call(user_add("bob", PASSWORD)).await, OK);
    ends(log_in(&caller, "alice").await.call(put("a")).await, OK);
    // A grant of what was granted before counts as a change.
    let alice = log_in(&caller, "alice").await;
    root.call(user_grant("alice", "alice")).await.expect("both exist");
    ends(alice.call(put("a")).await, OK);
    grant(&root, "alice", Readwrite, "a", "c").await;
    ends(alice.call(put("a")).await, OLD);
}

async fn survivors<C: Killable>() {
    let key = SigningKey::secret(SECRET);
    let Some((mut cluster, caller)) = started_with::<C>("lasting tokens", &[&key.flag()]).await else {
        return;
    };
    let root = root(&caller).await;
    let alice = user_with(&root, "alice", &[(Readwrite, "a", "")]).await;
    cluster.kill9().await.expect("it can be killed");
    cluster.restart().await.expect("it starts again");
    let caller = Caller::of(&cluster.endpoint());
    let alice = caller.with_token(alice.token());
    ends(alice.call(put("a")).await, OK);
    let root = log_in(&caller, ROOT).await;
    root.call(user_password("alice", "another")).await.expect("root may change it");
    // The token is only too old, not invalid.
    ends(alice.call(put("a")).await, OLD);
    ends(alice.call(lease(0)).await, OK);
    root.call(user_delete("alice")).await.expect("root may delete it");
    ends(alice.call(put("a")).await, OLD);
    ends(alice.call(user_get("alice")).await, NO_SUCH_USER);
    ends(alice.call(pb::AuthUserListRequest {}).await, NO_SUCH_USER);
    root.call(pb::AuthDisableRequest {}).await.expect("root may disable it");
    ends(alice.call(put("a")).await, OK);
}

async fn forgeries<C: Cluster>() {
    let key = SigningKey::secret(SECRET);
    let Some((_cluster, caller)) = started_with::<C>("forged tokens", &[&key.flag()]).await else { return };
    let root = root(&caller).await;
    root.call(put("a")).await.expect("root may put");
    let revision = caller.call(pb::AuthStatusRequest {}).await.expect("it needs no login").auth_revision;
    let good = format!(r#"{{"exp":4102444800,"revision":{revision},"username":"root"}}"#);
    let with = |header: &str, claims: &str, secret: &str| {
        let caller = caller.with_token(&forged(header, claims, secret.as_bytes()));
        async move { crate::support::outcome(&caller.call(put("a")).await) }
    };
    assert_eq!(with(HS256, &good, SECRET).await, OK);
    assert_eq!(with(HS256, &good, "another secret").await, BAD_TOKEN);
    assert_eq!(with(r#"{"alg":"HS384","typ":"JWT"}"#, &good, SECRET).await, BAD_TOKEN);
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"None"}"#, r#"{"alg":""}"#, "{}", "nonsense"] {
        assert_eq!(with(header, &good, SECRET).await, BAD_TOKEN, "{header}");
        let unsigned = format!("{}.", unsigned(header, &good));
        ends(caller.with_token(&unsigned).call(put("a")).await, BAD_TOKEN);
    }
    for claims in [
        r#"{"exp":1000000000,"revision":9,"username":"root"}"#,
        r#"{"exp":4102444800,"revision":9}"#,
        r#"{"exp":4102444800,"username":"root"}"#,
        r#"{"exp":4102444800,"revision":"9","username":"root"}"#,
        r#"{"exp":4102444800,"revision":9,"username":7}"#,
        r#"{"exp":"soon","revision":9,"username":"root"}"#,
        r#"{"nbf":4102444800,"exp":4102444801,"revision":9,"username":"root"}"#,
        "[]",
        "nonsense",
    ] {
        assert_eq!(with(HS256, claims, SECRET).await, BAD_TOKEN, "{claims}");
    }
    // Users that don't exist have no right, and a token need not end.
    let unknown = good.replace("root", "nobody");
    assert_eq!(with(HS256, &unknown, SECRET).await, DENIED);
    let endless = format!(r#"{{"revision":{revision},"username":"root"}}"#);
    assert_eq!(with(HS256, &endless, SECRET).await, OK);
    let empty = good.replace("root", "");
    assert_eq!(with(HS256, &empty, SECRET).await, DENIED);
    // A revision of zero is that of no user, and one that is still to come is not the present one.
    let first = good.replace(&format!("\"revision\":{revision}"), "\"revision\":0");
    assert_eq!(with(HS256, &first, SECRET).await, crate::support::texts::NO_USER);
    let later = good.replace(&format!("\"revision\":{revision}"), "\"revision\":999999");
    assert_eq!(with(HS256, &later, SECRET).await, OK);
    let later = caller.with_token(&forged(HS256, &later, SECRET.as_bytes()));
    ends(later.call(range("a", "")).await, OLD);
}

async fn expiry<C: Cluster>() {
    let key = SigningKey::secret(SECRET);
    let private = format!("priv-key={}", key.private().display());
    let flag = key.flag_with(&[&private, "ttl=2s"]);
    let Some((_cluster, caller)) = started_with::<C>("the time of signed tokens", &[&flag]).await else {
        return;
    };
    let root = root(&caller).await;
    ends(root.call(range("a", "")).await, OK);
    // Unlike simple ones they end although they are used.
    until("the token ends", DEADLINE, async || match root.call(range("a", "")).await {
        Err(status) => {
            ends::<()>(Err(status), BAD_TOKEN);
            Ok(())
        }
        Ok(_) => Err("it is valid".to_owned()),
    })
    .await;
    ends(log_in(&caller, ROOT).await.call(range("a", "")).await, OK);
}
