//! Hashing passwords, on threads of their own: it takes long on purpose, and nothing else may wait for it.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{available_parallelism, yield_now};
use std::time::{Duration, Instant};

use ferretcd_auth::{COST_MAX, COST_MIN, VerifiedPasswords, decoy_hash, hash_password, verify_password};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::RequestError;
use crate::spawn::spawn;

/// Passwords that may wait for a thread.
const QUEUE_MAX: usize = 1024;
/// Bytes of a password that count.
const PASSWORD_BYTES_MAX: usize = 72;
/// How little the threads are given beside others: Linux gives one of them a tenth of a processor that one other thread
/// wants. They also yield after each round of a hash, or a thread that wakes up would wait for the rest of a time slice.
const NICENESS: i32 = 10;
/// Credentials that are remembered, and how long.
const VERIFIED_MAX: usize = 16 * 1024;
const VERIFIED_FOR: Duration = Duration::from_secs(60);

type Job = Box<dyn FnOnce() + Send>;

/// Hashes and verifies passwords.
#[derive(Debug)]
pub(crate) struct Passwords {
    cost: u32,
    jobs: SyncSender<Job>,
    verified: Arc<VerifiedPasswords>,
    /// Verified for unknown users, so that the time does not show which names exist, as far as all hashes have the same cost.
    decoy: Arc<str>,
}

impl Passwords {
    /// Starts the threads: one for each two processors. They end when this is dropped.
    pub(crate) fn start(cost: u32) -> Self {
        let cost = cost.clamp(COST_MIN, COST_MAX);
        let (jobs, queue) = sync_channel::<Job>(QUEUE_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let n_threads = available_parallelism().map_or(1, |n| n.get().div_ceil(2));
        for _ in 0..n_threads {
            let queue = Arc::clone(&queue);
            drop(spawn("passwords", move || work(&queue)));
        }
        let verified = Arc::new(VerifiedPasswords::new(&random(), VERIFIED_FOR, VERIFIED_MAX));
        Self { cost, jobs, verified, decoy: decoy_hash(cost, random()).into() }
    }

    /// An error for a password that cannot be hashed.
    pub(crate) fn check_length(&self, password: &str) -> Result<(), RequestError> {
        if password.len() > PASSWORD_BYTES_MAX { Err(RequestError::PasswordTooLong) } else { Ok(()) }
    }

    /// The bcrypt text of a password.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, RequestError> {
        let (cost, salt) = (self.cost, random());
        let hash = self.run(move |go_on| hash_password(password.as_bytes(), cost, salt, go_on)).await?;
        // The cost is within its bounds.
        hash.map_err(|_| RequestError::PasswordTooLong)
    }

    /// Whether a password is that of a user with this bcrypt text; takes as long without such a user.
    pub(crate) async fn verify(
        &self,
        name: &str,
        password: &Zeroizing<String>,
        hash: Option<&[u8]>,
    ) -> Result<bool, RequestError> {
        // What is behind does not matter to bcrypt, and would wait in the queue.
        let password = &password.as_bytes()[..password.len().min(PASSWORD_BYTES_MAX)];
        let password = Zeroizing::new(password.to_vec());
        let Some(hash) = hash else {
            let decoy = Arc::clone(&self.decoy);
            self.run(move |go_on| verify_password(&password, decoy.as_bytes(), go_on)).await?;
            return Ok(false);
        };
        if self.verified.contains(name, &password, hash, Instant::now()) {
            return Ok(true);
        }
        let verified = Arc::clone(&self.verified);
        let (name, hash) = (name.to_owned(), hash.to_vec());
        self.run(move |go_on| {
            let now = Instant::now();
            // Of many equal logins at once the first one has done the work by now.
            if verified.contains(&name, &password, &hash, now) {
                return true;
            }
            let is_right = verify_password(&password, &hash, go_on);
            if is_right {
                verified.insert(&name, &password, &hash, now);
            }
            is_right
        })
        .await
    }

    /// `work` asks between two rounds of a hash whether it should go on.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn FnMut() -> bool) -> T + Send + 'static,
    ) -> Result<T, RequestError> {
        let (reply, result) = oneshot::channel();
        let job = Box::new(move || {
            // A client that has gone needs none.
            if !reply.is_closed() {
                let done = work(&mut || {
                    yield_now();
                    !reply.is_closed()
                });
                let _ = reply.send(done);
            }
        });
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => RequestError::TooManyRequests,
            TrySendError::Disconnected(_) => RequestError::Stopped,
        })?;
        result.await.map_err(|_| RequestError::Stopped)
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    // On Linux the niceness is a thread's own. If the system rejects it, all threads are equal.
    let _ = rustix::process::nice(NICENESS);
    loop {
        let Ok(job) = queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv() else { return };
        job();
    }
}

/// Random bytes that no client can guess.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}

#[cfg(test)]
mod tests;
