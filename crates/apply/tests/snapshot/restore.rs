//! The restored state equals the sent one.

use ferretcd_api_proto::etcdserverpb::PutRequest;
use ferretcd_apply::{OpenError, Request};
use proptest::prelude::*;

use crate::log::{Entry, add, log};
use crate::member::{MEMBER, Member, everything};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restored_state_equals_the_sent_one(
        (log, rest) in (log(1..80), log(1..20)),
        at in any::<prop::sample::Index>(),
        read_at in any::<prop::sample::Index>(),
    ) {
        let mut sender = Member::new();
        sender.apply(&log);
        sender.commit();
        let image = sender.image();

        let mut receiver = Member::new();
        receiver.apply(&log[..at.index(log.len() + 1)]);
        let view = receiver.reader.view();
        let revision = (read_at.index(view.revision() as usize) + 1) as i64;
        let before = everything(&view, revision);
        receiver.receive(&image).expect("a newer state");

        prop_assert_eq!(&receiver.see(), &sender.see());
        let after = everything(&view, revision);
        prop_assert_eq!(format!("{after:?}"), format!("{before:?}"), "a view keeps its state");
        drop(view);
        prop_assert_eq!(&receiver.image(), &image, "equal rows are an equal image");

        sender.apply(&rest);
        receiver.apply(&rest);
        prop_assert_eq!(receiver.settle(), sender.settle(), "both go on as one");
        prop_assert_eq!(receiver.see(), sender.see());
    }
}

#[test]
fn an_older_state_is_not_restored() {
    let put = |key: &'static str| {
        Entry::Command(Request::Put(PutRequest { key: key.into(), ..PutRequest::default() }))
    };
    let (mut sender, mut receiver) = (Member::new(), Member::new());
    sender.apply(&[Entry::Members(add(MEMBER)), put("a"), Entry::Commit]);
    receiver.apply(&[Entry::Members(add(MEMBER)), put("a"), put("b"), Entry::Commit]);
    let before = receiver.see();
    let rejected = receiver.receive(&sender.image());
    assert!(matches!(rejected, Err(OpenError::Older { index: 2, applied: 3 })));
    assert_eq!(receiver.see(), before);
}
