//! Which tokens make room for others.

use super::*;

/// Numbers of tokens that have their place in the same shard.
fn of_one_shard(tokens: &SimpleTokens) -> impl Iterator<Item = u64> {
    (0..).filter(|number| std::ptr::eq(tokens.shard(token(*number).as_bytes()), &tokens.shards[0]))
}

fn is_known(tokens: &SimpleTokens, number: u64, now: Instant) -> bool {
    tokens.user_of(token(number).as_bytes(), now).is_some()
}

#[test]
fn the_oldest_unused_token_makes_room() {
    let start = start();
    let after = |seconds| start + Duration::from_secs(seconds);
    let tokens = SimpleTokens::with_max(TTL, start, 5);
    let numbers: Vec<_> = of_one_shard(&tokens).take(7).collect();
    for (number, second) in numbers[..5].iter().zip(0..) {
        tokens.assign("a", token(*number), after(second));
    }
    assert!(is_known(&tokens, numbers[0], after(10)));
    assert!(is_known(&tokens, numbers[2], after(10)));
    for number in &numbers[5..] {
        tokens.assign("a", token(*number), after(20));
    }
    let known: Vec<_> = numbers.iter().map(|number| is_known(&tokens, *number, after(20))).collect();
    assert_eq!(known, [true, false, true, false, true, true, true]);
    assert_eq!((tokens.len(), n_queued(&tokens)), (5, 5));
}

/// Used or not, they are of no use any more.
#[test]
fn tokens_of_a_deleted_user_make_room_before_others() {
    let start = start();
    let later = start + Duration::from_secs(1);
    let tokens = SimpleTokens::with_max(TTL, start, 3);
    let numbers: Vec<_> = of_one_shard(&tokens).take(4).collect();
    for (number, user) in numbers.iter().zip(["a", "deleted", "b"]) {
        tokens.assign(user, token(*number), start);
        assert!(is_known(&tokens, *number, later));
    }
    tokens.remove_user("deleted");
    assert!(!is_known(&tokens, numbers[1], later));
    tokens.assign("c", token(numbers[3]), later);
    let known: Vec<_> = numbers.iter().map(|number| is_known(&tokens, *number, later)).collect();
    assert_eq!(known, [true, false, true, true]);
    assert_eq!((tokens.len(), n_queued(&tokens)), (3, 3));
}

#[test]
fn a_login_finds_room_among_tokens_that_are_all_in_use() {
    const MAX: usize = 2 * PASSES_MAX;
    let start = start();
    let later = start + Duration::from_secs(1);
    let tokens = SimpleTokens::with_max(TTL, start, MAX);
    let numbers: Vec<_> = of_one_shard(&tokens).take(MAX + 1).collect();
    for number in &numbers[..MAX] {
        tokens.assign("a", token(*number), start);
        assert!(is_known(&tokens, *number, later));
    }
    tokens.assign("a", token(numbers[MAX]), later);
    let gone: Vec<_> = (0..=MAX).filter(|at| !is_known(&tokens, numbers[*at], later)).collect();
    assert_eq!(gone, [PASSES_MAX], "the search ends with the first one that it has not passed by");
    assert_eq!((tokens.len(), n_queued(&tokens)), (MAX, MAX));
}

/// More of them than one look at a shard takes, and none of those that are left.
#[test]
fn all_expired_tokens_are_freed_at_once() {
    let start = start();
    let tokens = SimpleTokens::new(TTL, start);
    let numbers: Vec<_> = of_one_shard(&tokens).take(3 * LOOKS_MAX).collect();
    numbers.iter().for_each(|number| tokens.assign("a", token(*number), start));
    let kept = [0, LOOKS_MAX, 3 * LOOKS_MAX - 1].map(|at| numbers[at]);
    assert!(kept.iter().all(|number| is_known(&tokens, *number, start + TTL)));
    let now = start + TTL + Duration::from_nanos(1);
    tokens.remove_expired(now);
    assert_eq!((tokens.len(), n_queued(&tokens)), (kept.len(), kept.len()));
    assert!(kept.iter().all(|number| is_known(&tokens, *number, now)));
}

#[test]
fn the_longest_time_to_live_never_ends() {
    let start = start();
    let tokens = SimpleTokens::new(Duration::MAX, start);
    tokens.assign("a", token(1), start);
    let now = start + Duration::from_secs(u32::MAX.into());
    tokens.remove_expired(now);
    assert!(is_known(&tokens, 1, now));
}
