//! The hash over a whole state file.

use std::ops::Bound;

use ferretcd_backend::{Bucket, View};

/// CRC-32C over all buckets in byte order of their names: the name, then every key and value. Left out are
/// the rows of bucket `meta` that differ between members at rest: the applied index, its term and the
/// version of the layout. Reads every row, so its cost is that of the whole file.
pub fn backend_hash(view: &View) -> Result<u32, ferretcd_backend::Error> {
    let mut crc = 0;
    for bucket in Bucket::ALL {
        crc = crc32c::crc32c_append(crc, bucket.name().as_bytes());
        for row in view.range(bucket, (Bound::Unbounded, Bound::Unbounded))? {
            let (key, value) = row?;
            if !is_left_out(bucket, &key) {
                crc = crc32c::crc32c_append(crc, &key);
                crc = crc32c::crc32c_append(crc, &value);
            }
        }
    }
    Ok(crc)
}

fn is_left_out(bucket: Bucket, key: &[u8]) -> bool {
    matches!(bucket, Bucket::Meta) && matches!(key, b"consistent_index" | b"term" | b"storageVersion")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ferretcd_backend::{Backend, Batch};
    use ferretcd_base::Revision;

    use super::*;

    /// The value that a running etcd gave for these rows.
    #[test]
    fn the_hash_is_etcds() {
        let rows: [(i64, &[u8]); 6] = [
            (2, b"\x0a\x03foo\x10\x02\x18\x02\x20\x01\x2a\x03bar"),
            (3, b"\x0a\x03foo\x10\x02\x18\x03\x20\x02\x2a\x04bar2"),
            (4, b"\x0a\x01a\x10\x04\x18\x04\x20\x01\x2a\x011"),
            (5, b"\x0a\x01b\x10\x05\x18\x05\x20\x01\x2a\x012"),
            (6, b"\x0a\x03foo"),
            (7, b"\x0a\x01c\x10\x07\x18\x07\x20\x01\x2a\x013"),
        ];
        let mut batch = Batch::default();
        for (main, value) in rows {
            let mut key = Revision::new(main, 0).to_bytes().to_vec();
            if main == 6 {
                key.push(b't');
            }
            batch.put(Bucket::Key, key, Bytes::from_static(value));
        }
        batch.put(Bucket::Auth, "authRevision", Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 1]));
        batch.put(Bucket::Cluster, "clusterVersion", "3.4.0");
        batch.put(
            Bucket::Members,
            "5fbb3a8679b0cd10",
            r#"{"id":6898171603489705232,"peerURLs":["http://127.0.0.1:34380"],"name":"m1","clientURLs":["http://127.0.0.1:34379"]}"#,
        );
        batch.put(Bucket::Meta, "consistent_index", Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 9]));
        let backend = Backend::in_memory();
        backend.commit(&batch).expect("memory");
        assert_eq!(backend_hash(&backend.view()).expect("memory"), 1_319_732_741);
    }
}
