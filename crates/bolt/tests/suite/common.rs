//! Buckets in memory, to and from images.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferretcd_bolt::{Image, Plan, ReadError, Reader};

pub(crate) type Rows = BTreeMap<Bytes, Bytes>;
pub(crate) type Buckets = BTreeMap<Bytes, Rows>;

/// Writes an image and checks what holds for every one.
pub(crate) fn image(buckets: &Buckets) -> Vec<u8> {
    let plan = Plan::new(buckets).unwrap();
    let mut image = Vec::new();
    plan.write(buckets, &mut image).unwrap();
    assert_eq!(image.len() as u64, plan.size());
    image
}

pub(crate) fn read(image: impl Image) -> Result<Buckets, ReadError> {
    let reader = Reader::open(image)?;
    reader
        .buckets()
        .map(|bucket| bucket.and_then(|b| Ok((b.name().clone(), b.rows().collect::<Result<_, _>>()?))))
        .collect()
}

/// `n` rows `key00000`, `key00001`, ... with values of `value_bytes`.
pub(crate) fn rows(n: usize, value_bytes: usize) -> Rows {
    (0..n).map(|i| (format!("key{i:05}").into(), vec![i as u8; value_bytes].into())).collect()
}

pub(crate) fn buckets<const N: usize>(buckets: [(&'static str, Rows); N]) -> Buckets {
    buckets.into_iter().map(|(name, rows)| (name.into(), rows)).collect()
}
