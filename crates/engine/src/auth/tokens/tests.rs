use ferretcd_auth::SignMethod;

use super::*;

const TTL: Duration = Duration::from_secs(300);
/// Index of the last entry that the member has applied.
const APPLIED: u64 = 41;

fn simple() -> Tokens {
    Tokens::new(&TokenConfig::Simple { ttl: TTL })
}

fn keys(secret: &str) -> JwtKeys {
    JwtKeys::from_files(SignMethod::Hs256, None, Some(secret.as_bytes())).expect("any bytes are a secret")
}

/// Signed tokens, and where their keys are replaced.
fn signed(secret: &str) -> (Tokens, Arc<ArcSwap<JwtKeys>>) {
    let keys = Arc::new(ArcSwap::from_pointee(keys(secret)));
    (Tokens::new(&TokenConfig::Jwt { keys: Arc::clone(&keys), ttl: TTL }), keys)
}

fn login(token: Option<SimpleToken>) -> Login {
    Login { username: "alice".to_owned(), revision: 7, token }
}

/// That of the entry behind the one at `index`.
fn token(index: u64) -> SimpleToken {
    SimpleToken { letters: "abcdefghijklmnop".to_owned(), index }
}

fn find(tokens: &Tokens, token: &str) -> Known {
    tokens.find(&token.to_owned().into(), Instant::now(), APPLIED)
}

fn alice(revision: Option<u64>) -> Known {
    Known::User { name: "alice".into(), revision }
}

#[tokio::test]
async fn a_simple_token_may_be_that_of_an_entry_to_come() {
    let tokens = simple();
    for (index, expected) in [
        (0, Known::NoUser),
        // That of the entry that was applied last.
        (APPLIED - 1, Known::NoUser),
        (APPLIED, Known::NotYet),
        (APPLIED + 1, Known::NotYet),
        (u64::MAX, Known::NotYet),
    ] {
        let text = tokens.issue(login(Some(token(index)))).await.expect("it has letters");
        assert_eq!(find(&tokens, &text), expected, "{index}");
        tokens.assign("alice", &token(index), Instant::now());
        assert_eq!(find(&tokens, &text), alice(None), "{index}");
    }
}

#[test]
fn no_member_waits_for_what_is_no_token() {
    let tokens = simple();
    for text in ["", "a", ".", "a.", "a.b", "99.a", "a.+99", "a.99 ", "a.99.99", "a.18446744073709551616"] {
        assert_eq!(find(&tokens, text), Known::NoUser, "{text}");
    }
}

#[test]
fn a_simple_token_ends_with_its_time_its_user_or_all_tokens() {
    let text = Bytes::from("abcdefghijklmnop.5");
    let known = |tokens: &Tokens, now| tokens.find(&text, now, APPLIED);
    let tokens = simple();
    // Behind the start that is inside.
    let now = Instant::now();
    let assign = || tokens.assign("alice", &token(5), now);
    assign();
    assert_eq!(known(&tokens, now + TTL + Duration::from_nanos(1)), Known::NoUser);
    assert_eq!(known(&tokens, now + TTL), alice(None));
    tokens.remove_user("bob");
    assert_eq!(known(&tokens, now), alice(None));
    tokens.remove_user("alice");
    assert_eq!(known(&tokens, now), Known::NoUser);
    assign();
    tokens.clear();
    assert_eq!(known(&tokens, now), Known::NoUser);
}

#[tokio::test]
async fn a_simple_token_has_the_letters_of_its_entry() {
    let tokens = simple();
    let letters = tokens.new_letters();
    assert!(letters.len() == 16 && letters.bytes().all(|letter| letter.is_ascii_alphabetic()), "{letters}");
    assert_ne!(letters, tokens.new_letters());
    let login_with = |letters: &str| login(Some(SimpleToken { letters: letters.to_owned(), index: 5 }));
    assert_eq!(tokens.issue(login_with(&letters)).await.expect("it has letters"), format!("{letters}.5"));
    // Another member, without tokens, has proposed the login.
    let rejected = tokens.issue(login(None)).await;
    assert!(matches!(rejected, Err(RequestError::Auth(AuthError::Failed))), "{rejected:?}");
}

#[tokio::test]
async fn without_tokens_no_text_is_one() {
    let tokens = Tokens::new(&TokenConfig::None);
    tokens.assign("alice", &token(5), Instant::now());
    for text in ["abcdefghijklmnop.5", "abcdefghijklmnop.99", ""] {
        assert_eq!(find(&tokens, text), Known::NoUser, "{text}");
    }
    assert_eq!(tokens.new_letters(), "");
    let rejected = tokens.issue(login(Some(token(5)))).await;
    assert!(matches!(rejected, Err(RequestError::Auth(AuthError::Failed))), "{rejected:?}");
}

#[tokio::test]
async fn a_signed_token_needs_no_memory() {
    let (tokens, _) = signed("secret");
    assert_eq!(tokens.new_letters(), "", "the entry of a login has no token");
    let text = tokens.issue(login(None)).await.expect("there is a secret");
    let (another_member, _) = signed("secret");
    for tokens in [&tokens, &another_member] {
        assert_eq!(find(tokens, &text), alice(Some(7)));
        // They say nothing of a user that is gone; that is what the revision is for.
        tokens.remove_user("alice");
        tokens.clear();
        assert_eq!(find(tokens, &text), alice(Some(7)));
    }
    // No member waits for one that has the form of a simple token.
    assert_eq!(find(&tokens, "abcdefghijklmnop.99"), Known::Rejected(JwtRejected::Malformed));
}

#[tokio::test]
async fn a_token_that_was_verified_ends_with_its_key() {
    let (tokens, keys_now) = signed("old");
    let text = tokens.issue(login(None)).await.expect("there is a secret");
    for _ in 0..2 {
        assert_eq!(find(&tokens, &text), alice(Some(7)));
    }
    keys_now.store(Arc::new(keys("new")));
    for _ in 0..2 {
        assert_eq!(find(&tokens, &text), Known::Rejected(JwtRejected::Signature));
    }
    let newer = tokens.issue(login(None)).await.expect("there is a secret");
    assert_eq!(find(&tokens, &newer), alice(Some(7)));
    // The old key is there again, from another reading of the file.
    keys_now.store(Arc::new(keys("old")));
    assert_eq!(
        (find(&tokens, &text), find(&tokens, &newer)),
        (alice(Some(7)), Known::Rejected(JwtRejected::Signature))
    );
}

#[tokio::test]
async fn a_token_outlives_a_reload_of_the_same_key() {
    let (tokens, keys_now) = signed("secret");
    let text = tokens.issue(login(None)).await.expect("there is a secret");
    for _ in 0..3 {
        assert_eq!(find(&tokens, &text), alice(Some(7)));
        keys_now.store(Arc::new(keys("secret")));
    }
    assert_eq!(find(&tokens, &text), alice(Some(7)));
}

/// Memory that a key had may be that of the next one.
#[tokio::test]
async fn a_verified_token_is_not_taken_for_one_of_any_later_key() {
    let (tokens, keys_now) = signed("first");
    let text = tokens.issue(login(None)).await.expect("there is a secret");
    assert_eq!(find(&tokens, &text), alice(Some(7)));
    for n in 0..1000 {
        keys_now.store(Arc::new(keys(&format!("secret {n}"))));
        assert_eq!(find(&tokens, &text), Known::Rejected(JwtRejected::Signature), "{n}");
    }
}

#[test]
fn signed_tokens_that_have_expired_or_are_forged_are_not_known() {
    let (tokens, _) = signed("secret");
    let in_an_hour = unix_now() + 3600;
    let valid = keys("secret").sign("alice", 7, in_an_hour).expect("there is a secret");
    assert_eq!(find(&tokens, &valid), alice(Some(7)));
    for text in [
        keys("secret").sign("alice", 7, 1).expect("there is a secret"),
        keys("other").sign("alice", 7, in_an_hour).expect("there is a secret"),
        format!("{valid}A"),
        valid[..valid.len() - 4].to_owned(),
        String::new(),
    ] {
        for _ in 0..2 {
            assert!(matches!(find(&tokens, &text), Known::Rejected(_)), "{text}");
        }
    }
    assert_eq!(find(&tokens, &valid), alice(Some(7)), "the others have not touched it");
}
