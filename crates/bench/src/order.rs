//! In which order requests take their numbers.

use ferretcd_testkit::Random;

/// An endless sequence of numbers.
#[derive(Debug)]
pub(crate) enum Order {
    /// Every number below `of` once, then again. `stride` has no factor in common with `of`.
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

    /// Leaves out the next `n` numbers.
    pub(crate) fn skip(&mut self, n: u64) {
        match self {
            Order::Each { of, stride, last } => {
                let skipped = u128::from(*stride) * u128::from(n) % u128::from(*of);
                *last = (*last + skipped as u64) % *of;
            }
            Order::Random { .. } => {
                for _ in 0..n {
                    self.next();
                }
            }
        }
    }

    /// Every number once, far from in order, then again: steps of about the golden ratio of the whole spread numbers
    /// most evenly, as in Fibonacci hashing.
    pub(crate) fn each(of: u64) -> Self {
        let golden = of as f64 * 0.618_033_988_75;
        let stride =
            (golden as u64 + 1..).find(|stride| gcd(*stride, of) == 1).expect("a prime is among them");
        Order::Each { of, stride, last: 0 }
    }

    /// Every number below `of` once, from 0 on, then again.
    pub(crate) fn ascending(of: u64) -> Self {
        Order::Each { of, stride: 1, last: of - 1 }
    }

    /// The ones of [`Order::Random`].
    pub(crate) fn random(of: u64) -> Self {
        Order::Random { of, random: Random::new(1) }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_skipped_is_left_out() {
        for order in [|| Order::each(1000), || Order::ascending(1000), || Order::random(1000)] {
            let (mut all, mut rest) = (order(), order());
            rest.skip(2345);
            (0..2345).for_each(|_| assert!(all.next() < 1000));
            assert!((0..2000).all(|_| all.next() == rest.next()));
        }
    }
}
