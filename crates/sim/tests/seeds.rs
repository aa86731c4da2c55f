//! Some seeds of each profile; the many are run by the program.

use ferretcd_sim::{Profile, Report, Trace, run};

/// Runs seeds of one profile and returns the sums. A failure shows how to repeat it.
fn run_seeds(profile: &str, seeds: std::ops::Range<u64>) -> Report {
    let profile = Profile::named(profile).expect("a profile");
    let runs = seeds.map(|seed| {
        run(seed, profile, None, Trace::silent()).unwrap_or_else(|violation| {
            panic!(
                "failed to {violation}\nagain: cargo run -p ferretcd-sim --release -- --seed {seed} --profile {} --trace",
                profile.name
            )
        })
    });
    runs.fold(Report::default(), Report::plus)
}

#[test]
fn members_that_crash_and_lose_each_other() {
    let report = run_seeds("three", 0..6);
    // A simulation in which nothing happens proves nothing.
    assert!(report.n_writes > 1500 && report.n_reads > 800 && report.n_events > 1500, "{report:?}");
    assert!(report.n_crashes > 15 && report.n_elections > 12 && report.n_expired > 20, "{report:?}");
    assert!(report.n_lost_streams > 10 && report.n_unknown > 10, "{report:?}");
}

#[test]
fn five_members() {
    run_seeds("five", 0..3);
}

#[test]
fn members_with_slow_disks() {
    run_seeds("slow", 0..5);
}

#[test]
fn one_fault_after_the_other() {
    run_seeds("storm", 0..3);
}

#[test]
fn members_that_are_exchanged() {
    let report = run_seeds("exchange", 0..6);
    assert!(report.n_changes > 3 * 6 + 12, "{report:?}");
}

#[test]
fn one_member_to_which_others_are_added() {
    let report = run_seeds("one", 0..6);
    assert!(report.n_changes > 6 + 15, "{report:?}");
    assert!(report.n_writes > 2_000 && report.n_reads > 1_000 && report.n_crashes > 10, "{report:?}");
}

#[test]
fn members_that_fall_far_behind() {
    let report = run_seeds("snapshots", 0..5);
    assert!(report.n_snapshots > 5, "{report:?}");
}

#[test]
fn messages_that_overtake_each_other() {
    let report = run_seeds("disorder", 0..80);
    assert!(report.n_writes > 6_000 && report.n_reads > 4_000 && report.n_crashes > 75, "{report:?}");
    assert!(report.n_changes > 3 * 80 + 30 && report.n_snapshots > 15, "{report:?}");
}

#[test]
fn leases_of_many_minutes() {
    let report = run_seeds("leases", 0..1);
    assert!(report.n_expired > 5 && report.n_checkpoints > 3, "{report:?}");
}

#[test]
fn equal_seeds_make_equal_runs() {
    for profile in Profile::ALL {
        let profile = Profile { faults_ms: profile.faults_ms.min(8_000), ..profile };
        let run = |seed| run(seed, profile, None, Trace::silent()).map_err(|violation| violation.to_string());
        let first = run(3);
        assert_eq!(run(3), first, "{profile:?}");
        let (first, other) = (first.map(|report| report.hash), run(4).map(|report| report.hash));
        assert_ne!(first, other, "another seed makes another run");
    }
}
