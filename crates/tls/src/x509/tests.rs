//! Whatever the bytes, there is an answer; and changed ones are never trusted.

use ferretcd_testkit::chains::{Case, clients};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const NOW: i64 = 1_800_000_000;

fn pool<'a>(list: impl IntoIterator<Item = &'a Vec<u8>>) -> Pool {
    let mut pool = Pool::default();
    for certificate in list.into_iter().filter_map(|der| Certificate::read_one(der).ok()) {
        pool.add(certificate);
    }
    pool
}

/// Whether the chain is trusted, with `changed` in the place of one of its certificates.
fn is_trusted(case: &Case, place: usize, changed: &Certificate) -> bool {
    let mut rest = case.chain.clone();
    rest.remove(place);
    let mut between = pool(&rest);
    let own = match place {
        0 => changed.clone(),
        _ => {
            between.add(changed.clone());
            let Ok(own) = Certificate::read_one(&case.chain[0]) else { return false };
            own
        }
    };
    let authorities = pool(&case.authorities);
    [Usage::Client, Usage::Server].into_iter().any(|usage| {
        let host = (usage == Usage::Server).then_some("localhost");
        let verification =
            Verification { authorities: &authorities, between: &between, usage, host, now: NOW };
        verification.check(&own).is_ok()
    })
}

#[test]
fn changed_certificates_are_not_trusted() {
    let cases = clients();
    let config = ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(
        (which, place) in (0..cases.len(), any::<Index>()),
        changes in prop::collection::vec(any::<(Index, u8)>(), 1..4),
        cut in prop::option::weighted(0.1, any::<Index>()),
    )| {
        let place = place.index(cases[which].chain.len());
        let original = &cases[which].chain[place];
        let mut der = original.clone();
        for (at, byte) in &changes {
            *at.get_mut(&mut der) = *byte;
        }
        der.truncate(cut.map_or(der.len(), |at| at.index(der.len())));
        let Ok(changed) = Certificate::read_one(&der) else { return Ok(()) };
        let is_trusted = is_trusted(&cases[which], place, &changed);
        // Signatures have several forms. The last certificate is trusted for what it says; others may be superfluous.
        let is_same = Certificate::read_one(original).is_ok_and(|it| it.signed() == changed.signed());
        prop_assert!(place > 0 || is_same || !is_trusted, "{}: {:?}", cases[which].name, changes);
    });
}

#[test]
fn changed_revocation_lists() {
    let list = ferretcd_testkit::certificates::Authority::new().revoked(&[1, 0xffff]);
    let expected: [Box<[u8]>; 2] = [[1].into(), [0xff, 0xff].into()];
    assert_eq!(revoked_serials(&list).as_deref(), Ok(&expected[..]));
    let config = ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(changes in prop::collection::vec(any::<(Index, u8)>(), 1..4), cut: Index)| {
        let mut der = list.clone();
        for (at, byte) in &changes {
            *at.get_mut(&mut der) = *byte;
        }
        // Any answer is good; a panic is not.
        let _ = (revoked_serials(&der), revoked_serials(&der[..cut.index(der.len())]));
    });
}
