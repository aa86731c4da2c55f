//! `auto-compaction-mode` and `auto-compaction-retention`.

use std::time::Duration;

use ferretcd_embed::AutoCompaction;
use ferretcd_flags::Nanos;

use crate::error::ConfigError;

/// Reads the two flags. A plain number means hours in the periodic mode. A duration in the revision mode counts
/// as revisions, one per nanosecond: as in etcd it means, in effect, never.
pub(super) fn auto_compaction(mode: &str, retention: &str) -> Result<AutoCompaction, ConfigError> {
    if !matches!(mode, "periodic" | "revision") {
        return Err(match mode {
            "" => ConfigError::CompactionModeEmpty,
            _ => ConfigError::CompactionMode(mode.to_owned()),
        });
    }
    let number = retention.parse::<i64>().ok().and_then(|number| u64::try_from(number).ok());
    let nanos = match (mode, number) {
        (_, None) if retention.is_empty() => 0,
        ("periodic", Some(hours)) => hours.saturating_mul(3_600_000_000_000),
        (_, Some(revisions)) => revisions,
        (_, None) => parse_duration(retention)?,
    };
    Ok(match nanos {
        0 => AutoCompaction::Off,
        _ if mode == "periodic" => AutoCompaction::Periodic(Duration::from_nanos(nanos)),
        revisions => AutoCompaction::Revision(revisions),
    })
}

/// The nanoseconds of a duration that is not negative.
fn parse_duration(text: &str) -> Result<u64, ConfigError> {
    let nanos: Nanos = text.parse().map_err(ConfigError::CompactionRetention)?;
    u64::try_from(nanos.0).map_err(|_| ConfigError::CompactionRetentionNegative(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention() {
        fn check(mode: &str, retention: &str, expected: AutoCompaction) {
            assert_eq!(auto_compaction(mode, retention).unwrap(), expected, "{mode} {retention}");
        }
        let hours = |hours: u64| AutoCompaction::Periodic(Duration::from_secs(hours * 3600));
        check("periodic", "0", AutoCompaction::Off);
        check("periodic", "", AutoCompaction::Off);
        check("periodic", "0s", AutoCompaction::Off);
        check("periodic", "1", hours(1));
        check("periodic", "72", hours(72));
        check("periodic", "1h", hours(1));
        check("periodic", "5m", AutoCompaction::Periodic(Duration::from_secs(300)));
        check("revision", "0", AutoCompaction::Off);
        check("revision", "1000", AutoCompaction::Revision(1000));
        check("revision", "1us", AutoCompaction::Revision(1000));
    }

    #[test]
    fn errors() {
        fn check(mode: &str, retention: &str, expected: &str) {
            assert_eq!(auto_compaction(mode, retention).unwrap_err().to_string(), expected);
        }
        check("", "0", "undefined auto-compaction-mode");
        check("x", "0", "unknown auto-compaction-mode \"x\"");
        check("periodic", "x", "error parsing CompactionRetention: time: invalid duration \"x\"");
        check("revision", "-1", "error parsing CompactionRetention: time: missing unit in duration \"-1\"");
        check(
            "periodic",
            "5d",
            "error parsing CompactionRetention: time: unknown unit \"d\" in duration \"5d\"",
        );
        check("periodic", "-1h", "error parsing CompactionRetention: negative duration -1h0m0s");
    }
}
