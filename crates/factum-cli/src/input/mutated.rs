//! Files of every format with bytes changed at random: a reader gives records or names a fault, and
//! comes to an end. `SEED=` (1) draws other changes.

use super::{Format, Options, records};
use std::io::Cursor;

/// Files that are tried of each.
const FILES: u64 = 4_000;

/// Numbers that a seed decides (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap()
    }
}

fn mutated(file: &str, dice: &mut Dice) -> Vec<u8> {
    const ODD: [&[u8]; 12] =
        [b"\"", b",", b"\n", b"{", b"}", b"[", b"<", b">", b"&", b"\\u", b"\xff", b"\0"];
    let mut bytes = file.as_bytes().to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        match dice.below(5) {
            0 => bytes.truncate(at),
            1 if !bytes.is_empty() => drop(bytes.remove(at)),
            2 if !bytes.is_empty() => bytes[at] = u8::try_from(dice.below(256)).unwrap(),
            3 => {
                let piece = bytes[at..(at + dice.below(40)).min(bytes.len())].to_vec();
                let to = dice.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => drop(bytes.splice(at..at, ODD[dice.below(ODD.len())].iter().copied())),
        }
    }
    bytes
}

fn check(format: Format, is_exported: bool, file: &str) {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let options = Options { format, delimiter: b',', text: vec!["b".to_owned()], is_exported };
    let mut dice = Dice(seed);
    let (mut whole, mut faults) = (0, 0);
    for _ in 0..FILES {
        let bytes = mutated(file, &mut dice);
        let most = bytes.len() + 1;
        let Ok(read) = records(Box::new(Cursor::new(bytes.clone())), &options) else {
            faults += 1;
            continue;
        };
        let each: Vec<_> = read.each.take(most + 1).collect();
        let shown = String::from_utf8_lossy(&bytes);
        assert!(each.len() <= most, "it does not end: {shown:?} (SEED={seed})");
        match each.iter().any(Result::is_err) {
            true => faults += 1,
            false => whole += 1,
        }
    }
    assert!(whole > 0 && faults > 0, "{whole} whole, {faults} with faults: it tries nothing");
}

#[test]
fn a_csv_with_any_change_ends() {
    check(
        Format::Csv,
        false,
        "a,b,c\n1,\"x, \"\"y\"\"\",2020-01-02\n007,6.90,\n\"two\nlines\",,1e5\n",
    );
}

#[test]
fn json_lines_with_any_change_end() {
    let plain = "{\"a\":1,\"b\":{\"c\":[1,\"\\u00e9\"]}}\n{\"a\":null}\n";
    check(Format::Jsonl, false, plain);
    let exported = "{\"stream\":\"a-1\",\"revision\":0,\"position\":1,\
                    \"id\":\"00000000-0000-0000-0000-000000000001\",\"type\":\"t\",\
                    \"data\":{\"a\":1},\
                    \"metadata\":null,\"tags\":[\"k:1\"],\"occurredAt\":\"2020-01-02T03:04:05Z\"}\n\
                    {\"stream\":\"a-1\",\"type\":\"t\",\"dataBase64\":\"/w==\"}\n";
    check(Format::Jsonl, true, exported);
}

#[test]
fn cloudevents_with_any_change_end() {
    let event = "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\
                 \"subject\":\"a-1\",\"time\":\"2020-01-02T03:04:05Z\",\"data\":{\"a\":1},\
                 \"factumtags\":\"k:1\"}";
    check(Format::Cloudevents, false, &format!("{event}\n{event}\n"));
    check(Format::Cloudevents, false, &format!("[{event},{event}]"));
}

#[test]
fn an_xes_log_with_any_change_ends() {
    let log = "<log><trace><string key=\"concept:name\" value=\"1\"/><event>\
               <string key=\"concept:name\" value=\"a &amp; b\"/>\
               <date key=\"time:timestamp\" value=\"2020-01-02T03:04:05+01:00\"/>\
               <int key=\"n\" value=\"7\"><string key=\"x\" value=\"y\"/></int></event></trace>\
               </log>";
    check(Format::Xes, false, log);
}
