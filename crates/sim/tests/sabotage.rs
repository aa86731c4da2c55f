//! Each rule that is broken on purpose is noticed: else the checks would be worth nothing.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ferretcd_sim::{Profile, Sabotage, Trace, Violation, run};

/// Breaks a rule in run after run until it is found: by a check, which `is_it` recognises, or by an assertion of the code
/// under test.
fn check(rule: Sabotage, profile: &str, seeds: Range<u64>, is_it: impl Fn(&Violation) -> bool) {
    let profile = Profile::named(profile).expect("a profile");
    for seed in seeds.clone() {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(seed, profile, Some(rule), Trace::silent())));
        match outcome {
            Ok(Ok(_)) => {}
            Ok(Err(violation)) if !is_it(&violation) => {
                panic!("seed {seed} failed to {violation}, which is something else")
            }
            Ok(Err(_)) | Err(_) => return,
        }
    }
    panic!("{rule:?} is not noticed with any of the seeds {seeds:?}");
}

#[test]
fn acknowledgements_before_the_sync() {
    check(Sabotage::AcknowledgeBeforeSync, "three", 0..20, |_| true);
}

#[test]
fn entries_that_are_handed_out_before_they_are_synced() {
    // A sole voter commits what it believes to be durable.
    let profile = Profile::named("one").expect("a profile");
    let found = run(0, profile, Some(Sabotage::AcknowledgeBeforeSync), Trace::silent());
    assert!(matches!(found.map_err(|found| *found), Err(Violation::Unsynced { .. })));
}

#[test]
fn reads_without_a_quorum() {
    let is_stale = |violation: &Violation| matches!(violation, Violation::Stale { .. });
    check(Sabotage::ReadWithoutQuorum, "three", 0..10, is_stale);
}

#[test]
fn tokens_that_are_used_again() {
    let is_stale = |violation: &Violation| matches!(violation, Violation::Stale { .. });
    check(Sabotage::ReuseReadTokens, "slow", 0..30, is_stale);
}

#[test]
fn pairs_that_are_no_quorum() {
    let is_stale = |violation: &Violation| matches!(violation, Violation::Stale { .. });
    check(Sabotage::TakeAnyPairForAQuorum, "five", 0..20, is_stale);
}

#[test]
fn snapshots_that_are_announced_before_they_are_stored() {
    let has_failed = |violation: &Violation| matches!(violation, Violation::Failed { .. });
    check(Sabotage::AnnounceBeforeStored, "snapshots", 0..10, has_failed);
}

#[test]
fn changes_of_members_that_the_core_does_not_get() {
    let is_stuck = |violation: &Violation| matches!(violation, Violation::Stuck { .. });
    check(Sabotage::KeepOldConfiguration, "one", 0..3, is_stuck);
}

#[test]
fn rows_without_their_position() {
    check(Sabotage::ForgetPosition, "three", 0..3, |_| true);
}

#[test]
fn countdowns_that_are_out_of_date() {
    let is_early = |violation: &Violation| matches!(violation, Violation::Expired { .. });
    // It takes a certain order of changes of the leader; the seeds before are spared.
    check(Sabotage::KeepOldCountdown, "three", 80..400, is_early);
}

#[test]
fn watches_that_get_events_twice() {
    let is_told_twice = |violation: &Violation| matches!(violation, Violation::Watch { .. });
    check(Sabotage::ResumeTooEarly, "three", 0..3, is_told_twice);
}
