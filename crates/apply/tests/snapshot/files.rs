//! Files: a new one comes whole or not at all.

use std::fs;
use std::ops::ControlFlow::{Break, Continue};
use std::path::Path;

use ferretcd_api_proto::etcdserverpb::PutRequest;
use ferretcd_apply::Request;
use ferretcd_apply::snapshot::{self, ImportError};
use ferretcd_backend::{Backend, Batch, MemoryMedium};

use crate::log::{Entry, add};
use crate::member::{MEMBER, Member};

/// The names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

#[test]
fn files_appear_whole_or_not_at_all() {
    let mut sender = Member::new();
    let puts = (0..300).map(|n| {
        let put = PutRequest {
            key: format!("k{n}").into(),
            value: vec![b'v'; 100].into(),
            ..PutRequest::default()
        };
        Entry::Command(Request::Put(put))
    });
    sender.apply(&[Entry::Members(add(MEMBER))].into_iter().chain(puts).collect::<Vec<_>>());
    sender.commit();
    let image = sender.image();

    let directory = tempfile::tempdir().expect("a directory");
    let (body, file) = (directory.path().join("body"), directory.path().join("7.redb"));
    // The files that a killed process leaves, and an earlier one of the same name.
    fs::write(directory.path().join("7.part.redb"), "half").expect("disk");
    fs::write(&file, "old").expect("disk");

    fs::write(&body, &image[..image.len() - 4096]).expect("disk");
    assert!(matches!(snapshot::import(&body, &file, |_| Continue(())), Err(ImportError::Image(_))));
    let mut damaged = image.clone();
    damaged[3 * 4096 + 1000] ^= 1;
    damaged.extend([0; ferretcd_bolt::TRAILER_BYTES]);
    fs::write(&body, damaged).expect("disk");
    assert!(matches!(
        snapshot::import(&body, &file, |_| Continue(())),
        Err(ImportError::Image(ferretcd_bolt::ReadError::Hash))
    ));
    fs::remove_file(&body).expect("it is there");
    assert!(matches!(
        snapshot::import(&body, &file, |_| Continue(())),
        Err(ImportError::Io { action: "open", .. })
    ));
    fs::write(&body, &image).expect("disk");
    let broken_off = snapshot::import(&body, &file, |_| Break(()));
    assert!(matches!(broken_off, Err(ImportError::BrokenOff { n_bytes: 30_000.. })), "{broken_off:?}");
    assert_eq!(names(directory.path()), ["body"]);

    let applied = snapshot::import(&body, &file, |_| Continue(())).expect("an image");
    assert_eq!(&applied, sender.machine.applied());
    assert_eq!(names(directory.path()), ["7.redb", "body"]);

    let mut receiver = Member::new();
    receiver
        .backend
        .replace(&file, &ferretcd_backend::Config { cache_bytes: 1 << 20 })
        .expect("closed and unlocked");
    receiver.machine.restore(&receiver.backend).expect("a newer state");
    receiver.batch = Batch::default();
    assert_eq!(receiver.see(), sender.see());
}

/// Wherever the disk fails, there is an error.
#[test]
fn a_disk_that_fails_is_an_error() {
    let mut sender = Member::new();
    let puts = (0..200).map(|n| {
        let put = PutRequest {
            key: format!("k{n}").into(),
            value: vec![b'v'; 2_000].into(),
            ..PutRequest::default()
        };
        Entry::Command(Request::Put(put))
    });
    sender.apply(&[Entry::Members(add(MEMBER))].into_iter().chain(puts).collect::<Vec<_>>());
    sender.commit();
    let image = sender.image();
    let config = ferretcd_backend::Config { cache_bytes: 1 << 16 };
    let mut n_errors = 0;
    loop {
        let medium = MemoryMedium::new();
        let file = Backend::open_on(medium.clone(), &config).expect("memory");
        medium.fail_after(n_errors);
        match snapshot::import_into(&image[..], &file, |_| ()) {
            Err(ImportError::Write(_)) => n_errors += 1,
            Err(other) => panic!("{other}"),
            Ok(applied) => break assert_eq!(&applied, sender.machine.applied()),
        }
    }
    assert!(n_errors > 3, "{n_errors} places to fail at");
}
