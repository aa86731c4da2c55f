use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use ferretcd_apply::SimpleToken;
use ferretcd_auth::AuthStore;
use ferretcd_backend::{Backend, Batch};
use tokio::runtime::{Builder, Runtime};

use super::super::test_member::TestMember;
use super::super::tokens::TokenConfig;
use super::*;

/// A token that this member knows; one that can come from no entry, however many are applied meanwhile; and one of a later
/// entry than there will be.
const KNOWN: &str = "abcdefghijklmnop.0";
const UNKNOWN: &str = "garbage";
const TO_COME: &str = "abcdefghijklmnop.99999999999";

/// A gate in front of users that the test changes, on a member without a leader: what waits for a read goes on when the
/// test says so.
struct Setup {
    gate: Gate,
    store: AuthStore,
    member: TestMember,
    /// The last field, because tasks of the member run on it.
    runtime: Runtime,
}

impl Setup {
    /// Authentication is on; users are root and alice. Alice has a token.
    fn new(client_cert_auth: bool) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("the system has threads and descriptors");
        let member = runtime.block_on(async { TestMember::without_leader(client_cert_auth) });
        let mut batch = Batch::default();
        let mut store = AuthStore::open(&Backend::in_memory()).expect("an empty file");
        for user in [ROOT, "alice"] {
            store.add_user(user, None, &mut batch).expect("a new user");
        }
        store.grant_role(ROOT, ROOT, &mut batch).expect("the role need not be there");
        store.enable(&mut batch).expect("root is there");
        let tokens = Tokens::new(&TokenConfig::Simple { ttl: Duration::from_secs(300) });
        let read_index = member.engine.auth().read_index.clone();
        let info = member.engine.member().clone();
        let gate = Gate::new(store.reader(), Arc::new(tokens), read_index, info);
        let setup = Self { gate, store, member, runtime };
        setup.log_in(KNOWN);
        setup
    }

    /// The entry of a login of alice is applied.
    fn log_in(&self, token: &str) {
        let (letters, index) = token.split_once('.').expect("a simple token");
        let index = index.parse().expect("a number");
        let token = SimpleToken { letters: letters.to_owned(), index };
        self.gate.tokens().assign("alice", &token, Instant::now());
    }

    /// The reads that wait go on, or fail.
    fn end_reads(&self, mut result: impl FnMut() -> Result<(), RequestError>) -> usize {
        let reads = self.member.engine.channels().read_rounds.take_all();
        let n_reads = reads.len();
        for read in reads {
            read.send(result()).expect("the request waits");
        }
        n_reads
    }

    fn n_reads(&self) -> usize {
        self.member.engine.channels().read_rounds.n_waiting()
    }

    fn user(&self, name: &str) -> Admitted {
        Admitted { user: Some(name.into()), revision: self.store.state().revision() }
    }

    /// What needs no wait.
    fn now<T>(&self, future: impl Future<Output = Result<T, RequestError>>) -> Result<T, AuthError> {
        let polled = self.runtime.block_on(async { poll_once(pin!(future)).await });
        let Poll::Ready(result) = polled else { panic!("it waits") };
        result.map_err(auth_error)
    }

    fn check(&self, identity: &Identity, expected: &Result<Admitted, AuthError>) {
        let caller = caller(identity.clone());
        assert_eq!(&self.now(self.gate.admit(&caller)), expected, "{identity:?}");
        let tried = self.gate.try_admit(&caller).expect("nothing to wait for").map_err(auth_error);
        assert_eq!(&tried, expected, "{identity:?}");
        assert_eq!(self.n_reads(), 0, "{identity:?}");
    }

    fn stop(self) {
        self.runtime.block_on(self.member.stop());
    }
}

async fn poll_once<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

fn auth_error(error: RequestError) -> AuthError {
    let RequestError::Auth(error) = error else { panic!("failed to {error}") };
    error
}

fn caller(identity: Identity) -> Caller {
    Caller { identity, ..Caller::ANONYMOUS }
}

fn token(text: &'static str) -> Identity {
    Identity::Token(text.into())
}

fn named(name: &str) -> Identity {
    Identity::CommonName(name.into())
}

fn admitted_before(name: &str) -> Identity {
    Identity::User { name: name.into(), auth_revision: 2 }
}

fn all_identities() -> [Identity; 10] {
    [
        Identity::Anonymous,
        named("alice"),
        named("stranger"),
        token(KNOWN),
        token(UNKNOWN),
        token(TO_COME),
        token(""),
        admitted_before("alice"),
        admitted_before("stranger"),
        Identity::Member,
    ]
}

#[test]
fn a_caller_is_the_user_that_its_credential_names() {
    for client_cert_auth in [false, true] {
        let setup = Setup::new(client_cert_auth);
        let of_certificate =
            |name: &str| if client_cert_auth { setup.user(name) } else { Admitted::default() };
        for (identity, expected) in [
            (Identity::Anonymous, Ok(Admitted::default())),
            (named("alice"), Ok(of_certificate("alice"))),
            // Whether there is such a user is decided where its rights are looked at.
            (named("stranger"), Ok(of_certificate("stranger"))),
            (named(""), Ok(of_certificate(""))),
            (token(KNOWN), Ok(setup.user("alice"))),
            (token(UNKNOWN), Err(AuthError::InvalidToken)),
            (token(""), Err(AuthError::InvalidToken)),
            (admitted_before("alice"), Ok(Admitted { user: Some("alice".into()), revision: 2 })),
            (Identity::Member, Ok(setup.user(ROOT))),
        ] {
            setup.check(&identity, &expected);
        }
        setup.stop();
    }
}

#[test]
fn no_credential_is_looked_at_while_authentication_is_off() {
    let mut setup = Setup::new(true);
    setup.store.disable(&mut Batch::default());
    for identity in all_identities() {
        setup.check(&identity, &Ok(Admitted::default()));
        let caller = caller(identity);
        assert_eq!(setup.now(setup.gate.check_user(&caller)), Ok(Admitted::default()));
        assert_eq!(setup.now(setup.gate.check_root(&caller)), Ok(()));
        assert_eq!(setup.gate.check_root_now(&caller), Ok(()));
    }
    setup.stop();
}

#[test]
fn a_user_is_admitted_at_the_revision_of_the_moment() {
    let mut setup = Setup::new(true);
    for _ in 0..2 {
        for identity in [token(KNOWN), named("alice")] {
            setup.check(&identity, &Ok(setup.user("alice")));
        }
        let before = setup.store.state().revision();
        setup.store.delete_user(ROOT, &mut Batch::default()).expect_err("authentication is on");
        setup.store.add_role(&format!("role {before}"), &mut Batch::default()).expect("a new role");
        assert!(setup.store.state().revision() > before);
    }
    setup.stop();
}

#[test]
fn a_token_of_an_entry_to_come_is_waited_for_with_a_read() {
    let setup = Setup::new(false);
    let caller = caller(token(TO_COME));
    assert!(setup.gate.try_admit(&caller).is_none());
    setup.runtime.block_on(async {
        let mut admission = pin!(setup.gate.admit(&caller));
        assert!(poll_once(admission.as_mut()).await.is_pending());
        assert_eq!(setup.n_reads(), 1);
        // The member catches up.
        setup.log_in(TO_COME);
        assert_eq!(setup.end_reads(|| Ok(())), 1);
        assert_eq!(admission.await.map_err(auth_error), Ok(setup.user("alice")));
        assert_eq!(setup.n_reads(), 0, "one is enough");
    });
    setup.check(&token(TO_COME), &Ok(setup.user("alice")));
    setup.stop();
}

/// A client can write any index into a token; it must not make the member wait for it again and again.
#[test]
fn a_token_that_is_unknown_after_the_read_is_rejected() {
    let setup = Setup::new(false);
    let caller = caller(token(TO_COME));
    setup.runtime.block_on(async {
        let mut admission = pin!(setup.gate.admit(&caller));
        assert!(poll_once(admission.as_mut()).await.is_pending());
        assert_eq!(setup.end_reads(|| Ok(())), 1);
        assert_eq!(admission.await.map_err(auth_error), Err(AuthError::InvalidToken));
        assert_eq!(setup.n_reads(), 0);
        // A read that fails says nothing of the token.
        let mut admission = pin!(setup.gate.admit(&caller));
        assert!(poll_once(admission.as_mut()).await.is_pending());
        assert_eq!(setup.end_reads(|| Err(RequestError::NoLeader)), 1);
        assert!(matches!(admission.await, Err(RequestError::NoLeader)));
    });
    assert_eq!(setup.gate.check_root_now(&caller), Err(AuthError::InvalidToken), "it cannot wait");
    setup.stop();
}

/// Also while the request waits.
#[test]
fn a_token_is_not_needed_any_more_when_authentication_is_turned_off() {
    let mut setup = Setup::new(false);
    let caller = caller(token(TO_COME));
    let gate = setup.gate.clone();
    let mut admission = pin!(gate.admit(&caller));
    assert!(setup.runtime.block_on(poll_once(admission.as_mut())).is_pending());
    setup.store.disable(&mut Batch::default());
    assert_eq!(setup.end_reads(|| Ok(())), 1);
    let admitted = setup.runtime.block_on(admission).map_err(auth_error);
    assert_eq!(admitted, Ok(Admitted::default()));
    setup.stop();
}

#[test]
fn the_role_root_is_that_of_the_user() {
    let setup = Setup::new(true);
    for (identity, expected) in [
        (Identity::Anonymous, Err(AuthError::NoUser)),
        (named("alice"), Err(AuthError::Denied)),
        (named("stranger"), Err(AuthError::UserNotFound)),
        (named(""), Err(AuthError::NoUser)),
        (named(ROOT), Ok(())),
        (token(KNOWN), Err(AuthError::Denied)),
        (token(UNKNOWN), Err(AuthError::InvalidToken)),
        (admitted_before("alice"), Err(AuthError::Denied)),
        // The revision does not matter to what needs the role, as in etcd.
        (admitted_before(ROOT), Ok(())),
        (Identity::Member, Ok(())),
    ] {
        let caller = caller(identity);
        assert_eq!(setup.now(setup.gate.check_root(&caller)), expected, "{caller:?}");
        assert_eq!(setup.gate.check_root_now(&caller), expected, "{caller:?}");
    }
    setup.stop();
}

#[test]
fn any_valid_credential_is_enough_for_what_any_user_may_do() {
    let setup = Setup::new(true);
    for (identity, expected) in [
        (Identity::Anonymous, Err(AuthError::NoUser)),
        (named("alice"), Ok(setup.user("alice"))),
        (named("stranger"), Ok(setup.user("stranger"))),
        (token(KNOWN), Ok(setup.user("alice"))),
        (token(UNKNOWN), Err(AuthError::InvalidToken)),
        (Identity::Member, Ok(setup.user(ROOT))),
    ] {
        let caller = caller(identity);
        assert_eq!(setup.now(setup.gate.check_user(&caller)), expected, "{caller:?}");
    }
    setup.stop();
}

#[test]
fn the_user_of_a_stream_is_known_before_its_first_request_unless_a_token_names_it() {
    for client_cert_auth in [false, true] {
        let setup = Setup::new(client_cert_auth);
        for (identity, expected) in [
            (Identity::Anonymous, None),
            (named("alice"), client_cert_auth.then_some("alice")),
            (token(KNOWN), None),
            (admitted_before("alice"), Some("alice")),
            (Identity::Member, Some(ROOT)),
        ] {
            let caller = caller(identity);
            assert_eq!(setup.gate.lasting_user(&caller).as_deref(), expected, "{caller:?}");
        }
        setup.stop();
    }
}

#[test]
fn a_read_without_a_right_is_not_made() {
    let setup = Setup::new(true);
    let read = async || -> Result<(), RequestError> { panic!("the read is made") };
    let denied = |_: &AuthState, _: AuthInfo<'_>| Err(AuthError::Denied);
    let allowed = |_: &AuthState, _: AuthInfo<'_>| Ok(());
    for identity in [Identity::Anonymous, named("alice"), token(KNOWN)] {
        let caller = caller(identity);
        assert_eq!(setup.now(setup.gate.guard(&caller, denied, read())), Err(AuthError::Denied));
    }
    let caller = caller(token(UNKNOWN));
    assert_eq!(setup.now(setup.gate.guard(&caller, allowed, read())), Err(AuthError::InvalidToken));
    setup.stop();
}

/// What was read may be what the user has just lost its right to.
#[test]
fn a_read_is_void_if_rights_change_while_it_is_made() {
    let mut setup = Setup::new(true);
    let gate = setup.gate.clone();
    let check = |_: &AuthState, info: AuthInfo<'_>| {
        if info.revision == 0 { Err(AuthError::NoUser) } else { Ok(()) }
    };
    let mut n_roles = 0;
    for (identity, expected) in [
        (token(KNOWN), Err(AuthError::OldRevision)),
        (named("alice"), Err(AuthError::OldRevision)),
        // Members may read everything, whatever changes.
        (Identity::Member, Ok(())),
    ] {
        let caller = caller(identity);
        assert_eq!(setup.now(gate.guard(&caller, check, async { Ok(()) })), Ok(()), "{caller:?}");
        let store = &mut setup.store;
        let change = async {
            n_roles += 1;
            store.add_role(&format!("role {n_roles}"), &mut Batch::default()).expect("a new role");
            Ok(())
        };
        let result = setup.runtime.block_on(gate.guard(&caller, check, change)).map_err(auth_error);
        assert_eq!(result, expected, "{caller:?}");
    }
    setup.stop();
}
