//! Ids of requests: unique over members and over the runs of a process, without a message to other members.

use std::sync::atomic::{AtomicU64, Ordering};

use ferretcd_base::MemberId;

/// Low bits that count; the high 16 name the member.
const COUNTER_BITS: u32 = 48;
/// Bits of the boot time that the counter starts with, above 8 zero bits.
const BOOT_TIME_BITS: u32 = 40;

/// Hands out ids: `member (16 bits) | milliseconds at start (40 bits) | counter (8 bits)`, counted up in the
/// low 48 bits, as etcd does. A process that makes less than 256 ids per millisecond on average never makes an id of
/// its next run.
#[derive(Debug)]
pub(crate) struct RequestIds {
    prefix: u64,
    counter: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(member: MemberId, boot_unix_ms: u64) -> Self {
        let time = boot_unix_ms & ((1 << BOOT_TIME_BITS) - 1);
        Self { prefix: member.0 << COUNTER_BITS, counter: AtomicU64::new(time << 8) }
    }

    pub(crate) fn next(&self) -> u64 {
        let count = self.counter.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.prefix | (count & ((1 << COUNTER_BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_form_of_etcd() {
        let ids = RequestIds::new(MemberId(0x5fbb_3a86_79b0_cd10), 0x0123_a1f9_36ba_8d05);
        assert_eq!(ids.next(), 0xcd10_f936_ba8d_0501);
        assert_eq!(ids.next(), 0xcd10_f936_ba8d_0502);
    }

    #[test]
    fn counter_wraps_below_the_member() {
        let ids = RequestIds::new(MemberId(7), u64::MAX);
        let last = (0..0xff).map(|_| ids.next()).last();
        assert_eq!(last, Some(0x0007_ffff_ffff_ffff));
        assert_eq!(ids.next(), 0x0007_0000_0000_0000);
    }
}
