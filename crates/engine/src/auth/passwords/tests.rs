use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread::spawn;

use super::*;

/// With a queue that the test empties instead of threads, so that it decides when a job runs.
fn by_hand(cost: u32, queue_max: usize) -> (Passwords, Receiver<Job>) {
    let (jobs, queue) = sync_channel(queue_max);
    let verified = Arc::new(VerifiedPasswords::new(&random(), VERIFIED_FOR, VERIFIED_MAX));
    (Passwords { cost, jobs, verified, decoy: decoy_hash(cost, random()).into() }, queue)
}

fn text(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

fn hash_of(password: &str) -> Vec<u8> {
    hash_password(password.as_bytes(), COST_MIN, random(), || true).expect("it is short").into_bytes()
}

/// A hash that would take more than a day to verify.
fn endless_hash() -> String {
    decoy_hash(COST_MAX, random())
}

fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The result of a verification, and how many jobs it took.
fn verify(
    (passwords, queue): &(Passwords, Receiver<Job>),
    name: &str,
    password: &str,
    hash: Option<&[u8]>,
) -> (bool, usize) {
    let password = text(password);
    let mut verification = pin!(passwords.verify(name, &password, hash));
    let mut n_jobs = 0;
    loop {
        if let Poll::Ready(result) = poll(verification.as_mut()) {
            assert!(queue.try_recv().is_err(), "no job is left");
            return (result.expect("there is room, and the job runs"), n_jobs);
        }
        queue.try_recv().expect("it waits for a job")();
        n_jobs += 1;
    }
}

#[test]
fn a_verified_password_needs_no_thread() {
    let by_hand = by_hand(COST_MIN, 4);
    let hash = hash_of("rabbit");
    assert_eq!(verify(&by_hand, "alice", "rabbit", Some(&hash)), (true, 1));
    assert_eq!(verify(&by_hand, "alice", "rabbit", Some(&hash)), (true, 0));
    // The same password of another user, or with another hash: it may have been changed and changed back.
    assert_eq!(verify(&by_hand, "bob", "rabbit", Some(&hash)), (true, 1));
    assert_eq!(verify(&by_hand, "alice", "rabbit", Some(&hash_of("rabbit"))), (true, 1));
    assert_eq!(verify(&by_hand, "alice", "rabbit", Some(&hash_of("carrot"))), (false, 1));
}

#[test]
fn a_wrong_password_is_hashed_each_time() {
    let by_hand = by_hand(COST_MIN, 4);
    let hash = hash_of("rabbit");
    for _ in 0..2 {
        assert_eq!(verify(&by_hand, "alice", "carrot", Some(&hash)), (false, 1));
    }
    assert_eq!(verify(&by_hand, "alice", "rabbit", Some(&hash)), (true, 1));
    assert_eq!(verify(&by_hand, "alice", "carrot", Some(&hash)), (false, 1));
}

/// Otherwise the time of a login would show which names exist.
#[test]
fn an_unknown_user_is_hashed_each_time_and_is_never_right() {
    let by_hand = by_hand(COST_MIN, 4);
    for password in ["", "rabbit", "rabbit"] {
        assert_eq!(verify(&by_hand, "nowhere", password, None), (false, 1));
    }
}

#[test]
fn an_unknown_user_costs_as_much_as_a_hash() {
    for cost in [COST_MIN, COST_MIN + 1] {
        let (passwords, queue) = by_hand(cost, 1);
        let mut hash = pin!(passwords.hash(text("rabbit")));
        assert!(poll(hash.as_mut()).is_pending());
        queue.try_recv().expect("a job")();
        let Poll::Ready(Ok(hash)) = poll(hash) else { panic!("it is short") };
        let beginning = format!("$2a${cost:02}$");
        assert!(hash.starts_with(&beginning) && passwords.decoy.starts_with(&beginning));
    }
}

/// The first one has done the work by then; the hash is one that takes more than a day.
#[test]
fn a_login_that_waited_for_an_equal_one_is_not_hashed_again() {
    let (passwords, queue) = by_hand(COST_MIN, 1);
    let (password, hash) = (text("rabbit"), endless_hash());
    let mut verification = pin!(passwords.verify("alice", &password, Some(hash.as_bytes())));
    assert!(poll(verification.as_mut()).is_pending());
    passwords.verified.insert("alice", b"rabbit", hash.as_bytes(), Instant::now());
    queue.try_recv().expect("a job")();
    assert!(matches!(poll(verification), Poll::Ready(Ok(true))));
}

#[test]
fn a_full_queue_rejects_one_more_at_once() {
    const QUEUED: usize = 3;
    let (passwords, queue) = by_hand(COST_MIN, QUEUED);
    let (password, hash) = (text("rabbit"), hash_of("rabbit"));
    let mut waiting: Vec<_> =
        (0..QUEUED).map(|_| Box::pin(passwords.verify("alice", &password, Some(&hash)))).collect();
    assert!(waiting.iter_mut().all(|verification| poll(verification.as_mut()).is_pending()));
    for hash in [Some(&hash[..]), None] {
        let rejected = poll(pin!(passwords.verify("alice", &password, hash)));
        assert!(matches!(rejected, Poll::Ready(Err(RequestError::TooManyRequests))), "{rejected:?}");
    }
    let rejected = poll(pin!(passwords.hash(password.clone())));
    assert!(matches!(rejected, Poll::Ready(Err(RequestError::TooManyRequests))), "{rejected:?}");
    // Those in the queue are served, and then there is room again.
    queue.try_iter().take(QUEUED).for_each(|job| job());
    for verification in &mut waiting {
        assert!(matches!(poll(verification.as_mut()), Poll::Ready(Ok(true))));
    }
    assert!(poll(pin!(passwords.hash(password.clone()))).is_pending());
}

/// The job would take more than a day.
#[test]
fn a_call_that_was_dropped_in_the_queue_is_not_begun() {
    let (passwords, queue) = by_hand(COST_MIN, 2);
    let (password, hash) = (text("rabbit"), endless_hash());
    assert!(poll(pin!(passwords.verify("alice", &password, Some(hash.as_bytes())))).is_pending());
    assert!(poll(pin!(passwords.run(|_| panic!("the work is begun")))).is_pending());
    queue.try_iter().for_each(|job| job());
}

#[test]
fn work_is_told_when_its_call_was_dropped() {
    let (passwords, queue) = by_hand(COST_MIN, 1);
    let (begun, is_begun) = sync_channel(1);
    let (resume, is_resumed) = sync_channel(1);
    let (ended, is_ended) = sync_channel(1);
    let mut call = Box::pin(passwords.run(move |go_on| {
        begun.send(go_on()).expect("the test waits");
        is_resumed.recv().expect("the test drops the call first");
        ended.send(go_on()).expect("the test waits");
    }));
    assert!(poll(call.as_mut()).is_pending());
    let thread = spawn(queue.try_recv().expect("a job"));
    assert_eq!(is_begun.recv(), Ok(true), "the call is there");
    drop(call);
    resume.send(()).expect("the work goes on");
    assert_eq!(is_ended.recv(), Ok(false));
    thread.join().expect("a reply that is not wanted does no harm");
}

/// Each thread is given a hash that takes more than a day.
#[tokio::test]
async fn calls_that_were_dropped_give_the_threads_back() {
    let passwords = Passwords::start(COST_MIN);
    let (password, endless, hash) = (text("rabbit"), endless_hash(), hash_of("rabbit"));
    for _ in 0..2 * available_parallelism().map_or(1, |n| n.get()) {
        let mut call = pin!(passwords.verify("alice", &password, Some(endless.as_bytes())));
        assert!(poll(call.as_mut()).is_pending());
    }
    assert!(passwords.verify("alice", &password, Some(&hash)).await.expect("the threads run"));
}

#[test]
fn bytes_behind_the_72nd_do_not_count() {
    let by_hand = by_hand(COST_MIN, 1);
    let long = "a".repeat(PASSWORD_BYTES_MAX);
    let hash = hash_of(&long);
    assert_eq!(verify(&by_hand, "alice", &format!("{long}b"), Some(&hash)), (true, 1));
    assert_eq!(verify(&by_hand, "alice", &format!("{long}c"), Some(&hash)), (true, 0));
    assert_eq!(verify(&by_hand, "alice", &long[1..], Some(&hash)), (false, 1));
}

#[tokio::test]
async fn a_password_that_is_too_long_is_not_hashed() {
    let passwords = Passwords::start(COST_MIN);
    let long = "\u{fc}".repeat(PASSWORD_BYTES_MAX / 2);
    assert!(passwords.check_length(&long).is_ok());
    let hash = passwords.hash(text(&long)).await.expect("it fits");
    assert!(passwords.verify("alice", &text(&long), Some(hash.as_bytes())).await.expect("the threads run"));
    let longer = format!("{long}.");
    assert!(matches!(passwords.check_length(&longer), Err(RequestError::PasswordTooLong)));
    assert!(matches!(passwords.hash(text(&longer)).await, Err(RequestError::PasswordTooLong)));
}

#[test]
fn calls_end_with_the_threads() {
    let (passwords, queue) = by_hand(COST_MIN, 1);
    let mut waiting = pin!(passwords.hash(text("rabbit")));
    assert!(poll(waiting.as_mut()).is_pending());
    drop(queue);
    assert!(matches!(poll(waiting), Poll::Ready(Err(RequestError::Stopped))));
    assert!(matches!(poll(pin!(passwords.hash(text("rabbit")))), Poll::Ready(Err(RequestError::Stopped))));
}

#[test]
fn a_cost_outside_of_its_bounds_is_the_nearest_within() {
    let costs = [0, COST_MIN, COST_MAX, u32::MAX].map(|cost| Passwords::start(cost).cost);
    assert_eq!(costs, [COST_MIN, COST_MIN, COST_MAX, COST_MAX]);
}
