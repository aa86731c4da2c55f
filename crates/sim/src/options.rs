//! The command line of the program.

use std::ops::Range;

use crate::Profile;

/// The usage of the program.
pub const USAGE: &str = "\
usage: cargo run -p ferretcd-sim --release -- [options]

Runs clusters from seeds and says which rule was broken, if any.

  --seed N         run this seed alone
  --seeds A..B     run these seeds, B excluded (0..100)
  --profile NAME   three, five, exchange, one, snapshots, slow, storm, leases; each seed has one of its own otherwise
  --threads N      seeds that run at the same time (1)
  --trace          print everything that happens; for one seed";

/// The options of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The seeds.
    pub seeds: Range<u64>,
    /// The same for all of them, or each seed's own.
    pub profile: Option<Profile>,
    /// How many run at the same time.
    pub n_threads: u64,
    /// Whether everything that happens is printed.
    pub traces: bool,
}

/// The options are invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// There is no such option.
    #[error("read the options: there is no {0}\n{USAGE}")]
    Unknown(String),
    /// An option lacks its value, or has an invalid one.
    #[error("read the options: {0} needs another value\n{USAGE}")]
    Value(String),
}

impl Options {
    /// Reads the words behind the program's name; both `--name value` and `--name=value` are understood.
    ///
    /// # Errors
    ///
    /// With the word that is wrong, and the usage.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, OptionsError> {
        let mut options = Self { seeds: 0..100, profile: None, n_threads: 1, traces: false };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let (name, attached) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word, None),
            };
            if name == "--trace" {
                options.traces = true;
                continue;
            }
            if !["--seed", "--seeds", "--profile", "--threads"].contains(&name.as_str()) {
                return Err(OptionsError::Unknown(name));
            }
            let value = attached.or_else(|| words.next()).unwrap_or_default();
            options.set(&name, &value).ok_or(OptionsError::Value(name))?;
        }
        if options.traces && options.seeds.end - options.seeds.start != 1 {
            return Err(OptionsError::Value("--trace".to_owned()));
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "--seed" => {
                let seed: u64 = value.parse().ok()?;
                self.seeds = seed..seed.checked_add(1)?;
            }
            "--seeds" => {
                let (first, end) = value.split_once("..")?;
                self.seeds = first.parse().ok()?..end.parse().ok()?;
            }
            "--profile" => self.profile = Some(Profile::named(value)?),
            _ => self.n_threads = value.parse().ok().filter(|n| *n > 0)?,
        }
        (!self.seeds.is_empty()).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, OptionsError> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn words_and_options_are_read_in_any_order() {
        let plain = || Options { seeds: 0..100, profile: None, n_threads: 1, traces: false };
        let check = |line, expected: Options| assert_eq!(parse(line), Ok(expected), "{line}");
        check("", plain());
        check("--seeds 5..9 --threads=2", Options { seeds: 5..9, n_threads: 2, ..plain() });
        let profile = Profile::named("five");
        check(
            "--trace --profile five --seed 17",
            Options { seeds: 17..18, profile, traces: true, ..plain() },
        );
    }

    #[test]
    fn nonsense_is_rejected() {
        for line in [
            "--sed 3",
            "--seed",
            "--seed x",
            "--seeds 3",
            "--seeds 4..4",
            "--profile none",
            "--threads 0",
            "--trace",
            "17",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
