//! The data of events: JSON of one size, each with a number at a fixed place.

use bytes::Bytes;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How many different payloads a load draws from. Made beforehand, so that making them is not part
/// of what is measured.
const POOL: usize = 4096;

/// Where the number begins, and how many hexadecimal digits it has.
const NUMBER_AT: usize = 6;
const NUMBER_LEN: usize = 16;

/// Payloads to draw from, the same for every store.
#[derive(Clone)]
pub(crate) struct Payloads {
    pool: Arc<[Bytes]>,
    next: usize,
}

impl Payloads {
    pub(crate) fn new(size: usize) -> Self {
        Self { pool: (0..POOL as u64).map(|number| numbered(number, size)).collect(), next: 0 }
    }

    /// The next `count` of them.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Bytes> {
        let pool = self.pool.iter().cycle().skip(self.next % POOL);
        self.next = (self.next + count) % POOL;
        pool.take(count).cloned().collect()
    }
}

/// JSON of exactly `size` bytes (160 at least) that carries a number.
pub(crate) fn numbered(number: u64, size: usize) -> Bytes {
    let mut text = format!(
        "{{\"n\":\"{number:016x}\",\"orderId\":\"ord-{number:08}\",\"customer\":\"c-4711\",\
         \"status\":\"placed\",\"items\":[{{\"sku\":\"A-100\",\"qty\":2,\"price\":19.99}}],\
         \"note\":\""
    );
    let mut random = Random(number);
    while text.len() + 2 < size {
        text.push(char::from(b'a' + (random.next() % 26) as u8));
    }
    text.push_str("\"}");
    text.into()
}

/// The number that a payload carries; also one that came back with spaces put in.
pub(crate) fn number_of(data: &[u8]) -> Option<u64> {
    let digits = data.get(NUMBER_AT..)?;
    let start = digits.iter().position(u8::is_ascii_hexdigit)?;
    let digits = digits.get(start..start + NUMBER_LEN)?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// SplitMix64: fast, and good enough for ids that must differ.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A random number that no other run has: where ids and names begin.
pub(crate) fn unique() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    Random(now as u64 ^ CALLS.fetch_add(1, Ordering::Relaxed).rotate_left(40)).next()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_payload_is_json_of_its_size_and_carries_its_number() {
        for (number, size) in [(0, 256), (0xdead_beef, 300), (u64::MAX, 1024)] {
            let data = numbered(number, size);
            assert_eq!(data.len(), size);
            serde_json::from_slice::<serde_json::Value>(&data).unwrap();
            assert_eq!(number_of(&data), Some(number));
        }
        assert_eq!(number_of(b"{\"n\": \"00000000000000ff\", \"a\": 1}"), Some(255));
        assert_eq!(number_of(b"{}"), None);
    }

    #[test]
    fn a_pool_goes_round() {
        let mut payloads = Payloads::new(256);
        let first = payloads.take(1);
        payloads.take(POOL - 1);
        assert_eq!(payloads.take(1), first);
    }
}
