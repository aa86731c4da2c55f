//! In which order requests take their numbers.

use ferretcd_testkit::Random;

/// An endless sequence of numbers.
#[derive(Debug)]
pub(crate) enum Order {
    /// Every number below `of` once, far from in order, then again. `stride` has no factor in common with `of`.
    Each { of: u64, stride: u64, last: u64 },
    /// Any numbers below `of`; the same ones in each run.
    Random { of: u64, random: Random },
}

impl Order {
    pub(crate) fn next(&mut self) -> u64 {
        match self {
            Order::Each { of, stride, last } => {
                *last = (*last + *stride) % *of;
                *last
            }
            Order::Random { of, random } => random.below(*of),
        }
    }

    /// Steps of about the golden ratio of the whole spread numbers most evenly, as in Fibonacci hashing.
    pub(crate) fn each(of: u64) -> Self {
        let golden = of as f64 * 0.618_033_988_75;
        let stride =
            (golden as u64 + 1..).find(|stride| gcd(*stride, of) == 1).expect("a prime is among them");
        Order::Each { of, stride, last: 0 }
    }

    /// The ones of [`Order::Random`].
    pub(crate) fn random(of: u64) -> Self {
        Order::Random { of, random: Random::new(1) }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
