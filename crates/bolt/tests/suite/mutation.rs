//! Random damage: an error or rows, in bounded time and memory.

use std::cell::Cell;
use std::io;

use ferretcd_bolt::{BUCKETS_MAX, Image};
use ferretcd_testkit::Random;

use crate::bytewise::{root_and_mark, sign};
use crate::common::{Buckets, buckets, image, read, rows};

const PAGE: usize = 4096;

/// Counts what is read.
struct Counting<'a> {
    image: &'a [u8],
    n_read: Cell<u64>,
}

impl Image for Counting<'_> {
    fn size(&self) -> io::Result<u64> {
        self.image.size()
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        assert!(out.len() <= self.image.len());
        self.n_read.set(self.n_read.get() + out.len() as u64);
        self.image.read_at(out, offset)
    }
}

/// A byte that is likely to matter: most of a page is keys and values.
fn position(random: &mut Random, image: &[u8]) -> usize {
    let mut below = |end: usize| random.below(end as u64) as usize;
    let page = below(image.len() / PAGE) * PAGE;
    let within = match below(4) {
        0 => below(16),
        1 => 16 + below(64),
        2 => 16 + below(16 * 40),
        _ => below(PAGE),
    };
    page + within
}

fn damage(random: &mut Random, image: &mut [u8]) {
    for _ in 0..=random.below(3) {
        let at = position(random, image);
        let from = position(random, image);
        match random.below(4) {
            0 => image[at] ^= 1 << random.below(8),
            1 => image[at] = random.below(256) as u8,
            2 => image[at] = *random.pick(&[0, 1, 2, 3, 4, 0x10, 0x7f, 0xff]),
            _ => {
                let len = *random.pick(&[1, 4, 8, 16, 64, PAGE]);
                let len = len.min(image.len() - at.max(from));
                image.copy_within(from..from + len, at);
            }
        }
    }
    if random.below(4) > 0 {
        sign(image, 0);
        sign(image, PAGE);
    }
}

fn n_bytes(buckets: &Buckets) -> usize {
    buckets.values().flatten().map(|(key, value)| key.len() + value.len()).sum()
}

fn check(image: &[u8], n_rounds: usize) {
    assert_eq!(image.len() as u64, root_and_mark(image).1 * PAGE as u64);
    let mut random = Random::new(1);
    let mut n_rejected = 0;
    for round in 0..n_rounds {
        let mut image = image.to_vec();
        damage(&mut random, &mut image);
        let counting = Counting { image: &image, n_read: Cell::new(0) };
        // Each bucket, and the tree of buckets.
        let limit = (BUCKETS_MAX + 1) * image.len() + PAGE;
        match read(&counting) {
            Ok(buckets) => assert!(n_bytes(&buckets) <= limit),
            Err(_) => n_rejected += 1,
        }
        let n_read = counting.n_read.get();
        assert!(n_read <= limit as u64, "round {round}: {n_read} bytes read of {}", image.len());
    }
    assert!(n_rejected > n_rounds / 10, "{n_rejected} rejected: the damage was too mild");
}

#[test]
fn branches_and_leaves() {
    check(&image(&buckets([("inline", rows(4, 20)), ("key", rows(400, 30))])), 4000);
}

#[test]
fn large_rows() {
    check(&image(&buckets([("key", rows(9, 5000)), ("lease", rows(3, 20)), ("meta", rows(2, 400))])), 4000);
}

#[test]
fn many_buckets() {
    check(&image(&(0..50).map(|i| (format!("b{i:02}").into(), rows(i % 7, 100))).collect()), 4000);
}

#[test]
fn images_of_etcd_are_read() {
    let snapshot = include_bytes!("../fixtures/etcd-3.4.23.snapshot");
    check(&snapshot[..snapshot.len() - 32], 3000);
}
