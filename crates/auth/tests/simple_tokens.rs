//! Simple tokens against a list that is searched from end to end, with a clock moved by hand.

use std::time::{Duration, Instant};

use ferretcd_auth::{SimpleTokens, simple_token};
use proptest::collection::vec;
use proptest::prelude::*;

const TTL: Duration = Duration::from_secs(10);
const USERS: [&str; 3] = ["a", "b", "c"];
const TOKENS: u64 = 6;

#[derive(Clone, Debug)]
enum Op {
    Pass(Duration),
    Assign(usize, u64),
    RemoveUser(usize),
    RemoveExpired,
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    let seconds = (0..4u64).prop_map(Duration::from_secs);
    let nanos = (0..3u64).prop_map(Duration::from_nanos);
    prop_oneof![
        4 => prop_oneof![seconds, nanos].prop_map(Op::Pass),
        4 => (0..USERS.len(), 0..TOKENS).prop_map(|(user, token)| Op::Assign(user, token)),
        1 => (0..USERS.len()).prop_map(Op::RemoveUser),
        2 => Just(Op::RemoveExpired),
        1 => Just(Op::Clear),
    ]
}

struct Token {
    number: u64,
    user: usize,
    last_use: Instant,
}

/// What is known, in no order.
#[derive(Default)]
struct Model(Vec<Token>);

impl Model {
    fn apply(&mut self, op: &Op, now: Instant) {
        match op {
            Op::Pass(_) => {}
            Op::Assign(user, number) => {
                self.0.retain(|token| token.number != *number);
                self.0.push(Token { number: *number, user: *user, last_use: now });
            }
            Op::RemoveUser(user) => self.0.retain(|token| token.user != *user),
            Op::RemoveExpired => self.0.retain(|token| now <= token.last_use + TTL),
            Op::Clear => self.0.clear(),
        }
    }

    fn user_of(&mut self, number: u64, now: Instant) -> Option<&'static str> {
        let token = self.0.iter_mut().find(|token| token.number == number && now <= token.last_use + TTL)?;
        token.last_use = now;
        Some(USERS[token.user])
    }
}

proptest! {
    /// The numbers beside the steps say which tokens are looked at after each step, bit by bit.
    #[test]
    fn tokens_are_those_of_the_model(steps in vec((op(), 0..1u64 << TOKENS), 1..60)) {
        let mut now = Instant::now();
        let tokens = SimpleTokens::new(TTL, now);
        let mut model = Model::default();
        for (op, uses) in steps {
            if let Op::Pass(duration) = op {
                now += duration;
            }
            match op {
                Op::Pass(_) => {}
                Op::Assign(user, number) => tokens.assign(USERS[user], simple_token("x", number), now),
                Op::RemoveUser(user) => tokens.remove_user(USERS[user]),
                Op::RemoveExpired => tokens.remove_expired(now),
                Op::Clear => tokens.clear(),
            }
            model.apply(&op, now);
            for number in (0..TOKENS).filter(|number| uses >> number & 1 == 1) {
                let found = tokens.user_of(simple_token("x", number).as_bytes(), now);
                prop_assert_eq!(found.as_deref(), model.user_of(number, now), "{}", number);
            }
            prop_assert!(tokens.len() >= model.0.iter().filter(|token| now <= token.last_use + TTL).count());
        }
        // Nothing is left of what has ended.
        let end = now + TTL + Duration::from_nanos(1);
        tokens.remove_expired(end);
        tokens.remove_expired(end + TTL);
        prop_assert!(tokens.is_empty());
    }
}
