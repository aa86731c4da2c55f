//! Users, roles and what is stored of them.

use ferretcd_api_proto::authpb::Permission;
use ferretcd_api_proto::authpb::permission::Type::{Read, Readwrite, Write};
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Caller, Cluster};

use crate::support::requests::{
    OPEN, permission, put, range, role_add, role_delete, role_get, role_revoke, user_add,
    user_add_without_password, user_delete, user_get, user_grant, user_password, user_revoke,
};
use crate::support::setup::{log_in, user_with};
use crate::support::texts::{DENIED, FAILED, NO_PASSWORD, NOT_OF_ROLE, OK, TOO_LONG};
use crate::support::{PASSWORD, ROOT, ends, grant, role, root, started, user};

on_both! {
    lists_are_sorted_by_bytes => lists(),
    names_are_any_text => names(),
    passwords_have_bounds => passwords(),
    users_without_a_password => without_password(),
    permissions_are_sorted_and_replaced => permissions(),
    one_key_with_several_ends => duplicates(),
    a_deleted_role_is_taken_from_users => deleted_role(),
    the_root_role_shows_everything => root_role(),
    users_see_themselves_and_their_roles => own(),
}

async fn roles_of(caller: &Caller, user: &str) -> Vec<String> {
    caller.call(user_get(user)).await.expect("the user exists").roles
}

async fn permissions_of(caller: &Caller, role: &str) -> Vec<Permission> {
    caller.call(role_get(role)).await.expect("the role exists").perm
}

async fn lists<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("lists").await else { return };
    for name in ["b", "a", "é", "B", "a0", "10", "9"] {
        user(&caller, name, &[]).await;
        role(&caller, name, &[]).await;
    }
    let sorted = ["10", "9", "B", "a", "a0", "b", "é"];
    let users = caller.call(pb::AuthUserListRequest {}).await.expect("auth is off").users;
    assert_eq!(users, sorted);
    let roles = caller.call(pb::AuthRoleListRequest {}).await.expect("auth is off").roles;
    assert_eq!(roles, sorted);
    for role in ["é", "a", "B"] {
        caller.call(user_grant("a", role)).await.expect("auth is off");
    }
    assert_eq!(roles_of(&caller, "a").await, ["B", "a", "é"]);
    caller.call(user_revoke("a", "a")).await.expect("auth is off");
    assert_eq!(roles_of(&caller, "a").await, ["B", "é"]);
}

async fn names<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("names").await else { return };
    let root = root(&caller).await;
    let long = "n".repeat(5000);
    for name in [" ", "a b", "a\nb", "\0", "/etc/passwd", "名", &long] {
        user(&root, name, &[]).await;
        role(&root, name, &[(Readwrite, "k", "")]).await;
        root.call(user_grant(name, name)).await.expect("both exist");
        let caller = log_in(&caller, name).await;
        ends(caller.call(put("k")).await, OK);
        assert_eq!(roles_of(&caller, name).await, [name]);
    }
    assert_eq!(root.call(pb::AuthUserListRequest {}).await.expect("root may list").users.len(), 8);
}

async fn passwords<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("passwords").await else { return };
    let root = root(&caller).await;
    let (longest, longer) = ("p".repeat(72), "p".repeat(73));
    root.call(user_add("long", &longest)).await.expect("72 bytes are allowed");
    ends(caller.log_in("long", &longest).await, OK);
    // Bytes beyond those of the hash don't count.
    ends(caller.log_in("long", &"p".repeat(71)).await, FAILED);
    let beyond = crate::support::outcome(&caller.log_in("long", &longer).await);
    assert_eq!(beyond, OK, "{}", C::KIND.name);
    ends(root.call(user_add("longer", &longer)).await, TOO_LONG);
    ends(root.call(user_password("long", &longer)).await, TOO_LONG);
    ends(root.call(user_add("longer", &"é".repeat(37))).await, TOO_LONG);

    root.call(user_add("empty", "")).await.expect("a password may be empty");
    ends(caller.log_in("empty", "").await, OK);
    ends(caller.log_in("empty", "x").await, FAILED);
    // A password that is changed to nothing fits no login.
    root.call(user_password("empty", "x")).await.expect("root may change it");
    ends(caller.log_in("empty", "x").await, OK);
    root.call(user_password("empty", "")).await.expect("root may change it");
    ends(caller.log_in("empty", "").await, FAILED);
    ends(caller.log_in("empty", "x").await, FAILED);
    for odd in ["with\0nul", "名字", " "] {
        root.call(user_password("empty", odd)).await.expect("root may change it");
        ends(caller.log_in("empty", odd).await, OK);
    }
}

async fn without_password<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("users without a password").await else { return };
    let root = root(&caller).await;
    root.call(user_add_without_password("alice")).await.expect("root may add users");
    ends(caller.log_in("alice", "").await, NO_PASSWORD);
    ends(caller.log_in("alice", PASSWORD).await, NO_PASSWORD);
    // A password that comes with it is not kept, neither is a later one.
    let both = pb::AuthUserAddRequest { password: PASSWORD.to_owned(), ..user_add_without_password("bob") };
    root.call(both).await.expect("root may add users");
    ends(caller.log_in("bob", PASSWORD).await, NO_PASSWORD);
    ends(root.call(user_password("alice", PASSWORD)).await, OK);
    ends(caller.log_in("alice", PASSWORD).await, NO_PASSWORD);
}

async fn permissions<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("permissions").await else { return };
    role(&caller, "r", &[(Read, "m", ""), (Write, "a", "c"), (Readwrite, "z", OPEN), (Read, "b", "")]).await;
    let expected = [
        permission(Write, "a", "c"),
        permission(Read, "b", ""),
        permission(Read, "m", ""),
        permission(Readwrite, "z", OPEN),
    ];
    assert_eq!(permissions_of(&caller, "r").await, expected);
    grant(&caller, "r", Readwrite, "b", "").await;
    grant(&caller, "r", Read, "a", "c").await;
    let expected = [
        permission(Read, "a", "c"),
        permission(Readwrite, "b", ""),
        permission(Read, "m", ""),
        permission(Readwrite, "z", OPEN),
    ];
    assert_eq!(permissions_of(&caller, "r").await, expected);
    ends(caller.call(role_revoke("r", "a", "")).await, NOT_OF_ROLE);
    ends(caller.call(role_revoke("r", "a", "b")).await, NOT_OF_ROLE);
    ends(caller.call(role_revoke("r", "z", "")).await, NOT_OF_ROLE);
    ends(caller.call(role_revoke("r", "z", OPEN)).await, OK);
    ends(caller.call(role_revoke("r", "m", "")).await, OK);
    assert_eq!(permissions_of(&caller, "r").await, expected[..2]);
}

/// Only the first permission with a key is looked at when one is replaced, so there can be two of one interval.
async fn duplicates<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("permissions of one key").await else { return };
    role(&caller, "r", &[(Read, "a", "c"), (Read, "a", "d")]).await;
    let both = permissions_of(&caller, "r").await;
    assert_eq!(both, [permission(Read, "a", "c"), permission(Read, "a", "d")]);
    grant(&caller, "r", Write, "a", "c").await;
    assert_eq!(permissions_of(&caller, "r").await, [permission(Write, "a", "c"), permission(Read, "a", "d")]);
    grant(&caller, "r", Write, "a", "d").await;
    let three = [permission(Write, "a", "c"), permission(Read, "a", "d"), permission(Write, "a", "d")];
    assert_eq!(permissions_of(&caller, "r").await, three);
    // Both count.
    let root = root(&caller).await;
    user(&root, "alice", &["r"]).await;
    let alice = log_in(&caller, "alice").await;
    ends(alice.call(range("cc", "")).await, OK);
    ends(alice.call(put("cc")).await, OK);
    root.call(role_revoke("r", "a", "d")).await.expect("it is granted");
    assert_eq!(permissions_of(&root, "r").await, three[..1]);
    ends(alice.call(range("cc", "")).await, DENIED);
    ends(alice.call(put("cc")).await, DENIED);
    ends(alice.call(put("b")).await, OK);
}

async fn deleted_role<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("a deleted role").await else { return };
    let root = root(&caller).await;
    role(&root, "kept", &[(Read, "a", "")]).await;
    let alice = user_with(&root, "alice", &[(Write, "a", "")]).await;
    root.call(user_grant("alice", "kept")).await.expect("both exist");
    user(&root, "bob", &["alice"]).await;
    root.call(role_delete("alice")).await.expect("it exists");
    assert_eq!(roles_of(&root, "alice").await, ["kept"]);
    assert_eq!(roles_of(&root, "bob").await, [""; 0]);
    ends(alice.call(range("a", "")).await, OK);
    ends(alice.call(put("a")).await, DENIED);
    // A new role of that name is not granted.
    role(&root, "alice", &[(Write, "a", "")]).await;
    ends(alice.call(put("a")).await, DENIED);
}

async fn root_role<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("the root role").await else { return };
    caller.call(role_add(ROOT)).await.expect("auth is off");
    let everything = [permission(Readwrite, "", OPEN)];
    assert_eq!(permissions_of(&caller, ROOT).await, everything);
    grant(&caller, ROOT, Read, "a", "").await;
    assert_eq!(permissions_of(&caller, ROOT).await, everything);
}

async fn own<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("what users see").await else { return };
    let root = root(&caller).await;
    let alice = user_with(&root, "alice", &[(Read, "a", "")]).await;
    user_with(&root, "bob", &[(Read, "b", "")]).await;
    assert_eq!(roles_of(&alice, "alice").await, ["alice"]);
    ends(alice.call(user_get("bob")).await, DENIED);
    ends(alice.call(user_get("nobody")).await, DENIED);
    assert_eq!(permissions_of(&alice, "alice").await, [permission(Read, "a", "")]);
    ends(alice.call(role_get("bob")).await, DENIED);
    ends(alice.call(role_get("nothing")).await, DENIED);
    ends(alice.call(user_password("alice", "another")).await, DENIED);
    ends(alice.call(user_delete("alice")).await, DENIED);
}
