//! Topics and subjects: which may be published to, which pattern takes which, and where the
//! partition stands. Pure.

use factum_app::message::Message;

/// The partition of a message: of its key, or else of its id, by CRC-32C, which does not change.
pub(crate) fn partition(message: &Message, partitions: u16) -> u16 {
    let what = message.key.as_deref().unwrap_or(&message.id);
    u16::try_from(crc32c::crc32c(what.as_bytes()) % u32::from(partitions)).unwrap_or_default()
}

/// The subject of a topic in a partition, or in all of them.
pub(crate) fn subject(topic: &str, partitions: u16, partition: Option<u16>) -> String {
    match (partitions, partition) {
        (1, _) => topic.to_owned(),
        (_, Some(partition)) => format!("p{partitions}.{partition}.{topic}"),
        (_, None) => format!("p{partitions}.*.{topic}"),
    }
}

/// The topic of a subject.
pub(crate) fn topic(subject: &str, partitions: u16) -> &str {
    match partitions {
        1 => subject,
        _ => subject.splitn(3, '.').nth(2).unwrap_or(subject),
    }
}

/// Why nothing can be published there, if so.
pub(crate) fn wrong_topic(topic: &str) -> Option<&'static str> {
    if topic.starts_with('$') {
        return Some("subjects that begin with $ are the server's own");
    }
    wrong_pattern(topic).or_else(|| {
        let wild = topic.split('.').any(|word| matches!(word, "*" | ">"));
        wild.then_some("* and > stand for other words: they are for subscriptions")
    })
}

/// Why this is no pattern of topics, if so.
pub(crate) fn wrong_pattern(topic: &str) -> Option<&'static str> {
    if topic.split('.').any(str::is_empty) {
        return Some("there is nothing before, between or after its dots");
    }
    if topic.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Some("there is a space in it");
    }
    let tail = topic.split('.').rev().skip(1).any(|word| word == ">");
    tail.then_some("> stands for all that follows: it comes last")
}

/// Whether a pattern takes a subject.
pub(crate) fn takes(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

/// Whether a pattern takes all that another takes.
pub(crate) fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('.'), narrow.split('.'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (_, Some(">")) => return false,
            (Some("*"), Some(_)) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

/// A text as one word of a subject, or as the name of a consumer: what is not a letter, a digit,
/// `-` or `_` stands there as `=` and two hexadecimal digits a byte.
pub(crate) fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("={byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_what_the_server_says() {
        let check = |pattern, subject, expect| {
            assert_eq!(takes(pattern, subject), expect, "{pattern} {subject}");
        };
        check("a.b", "a.b", true);
        check("a.b", "a.b.c", false);
        check("a.*", "a.b", true);
        check("a.*", "a", false);
        check("a.>", "a.b.c", true);
        check("a.>", "a", false);
        check(">", "a", true);
        check("a.*.c", "a.b.d", false);
    }

    #[test]
    fn a_stream_covers_a_topic_or_not() {
        let check = |wide, narrow, expect| {
            assert_eq!(covers(wide, narrow), expect, "{wide} {narrow}");
        };
        check("a.>", "a.*", true);
        check("a.*", "a.>", false);
        check("a.*", "a.b", true);
        check("a.b", "a.*", false);
        check(">", "a.>", true);
    }

    #[test]
    fn topics_are_checked() {
        assert_eq!(wrong_topic("orders.placed"), None);
        for wrong in ["", "a..b", ".a", "a.", "a b", "a.*", "a.>", "$JS.x", "a\n"] {
            assert!(wrong_topic(wrong).is_some(), "{wrong:?}");
        }
        assert_eq!(wrong_pattern("a.*.>"), None);
        assert!(wrong_pattern("a.>.b").is_some());
    }

    #[test]
    fn a_key_stays_in_its_partition_from_release_to_release() {
        let message = Message::new("1", "/a", "b").key("order-7");
        assert_eq!(partition(&message, 8), 4);
        assert_eq!(subject("a.b", 8, Some(3)), "p8.3.a.b");
        assert_eq!(topic("p8.3.a.b", 8), "a.b");
        assert_eq!((subject("a.b", 1, Some(0)).as_str(), topic("a.b", 1)), ("a.b", "a.b"));
    }

    #[test]
    fn words_of_different_texts_differ() {
        assert_eq!(word("mail-er_1"), "mail-er_1");
        assert_eq!(word("a.b"), "a=2Eb");
        assert_eq!(word("a=2Eb"), "a=3D2Eb");
    }
}
