//! JSON texts kept as their writer wrote them: checked, put on one line, never re-printed.
//!
//! Re-printing would change numbers (`1.10`, `1e400`); here only white space between tokens goes.

use serde_json::value::RawValue;

/// Whether these bytes are one JSON text.
pub(crate) fn check(bytes: &[u8]) -> Result<&str, serde_json::Error> {
    serde_json::from_slice::<&RawValue>(bytes).map(RawValue::get)
}

/// The JSON text on one line, without white space between tokens; `None` if it is not JSON.
pub(crate) fn one_line(bytes: &[u8]) -> Option<Box<RawValue>> {
    let text = check(bytes).ok()?;
    let mut line = String::with_capacity(text.len());
    let mut in_string = false;
    let mut is_escaped = false;
    for char in text.chars() {
        if in_string {
            in_string = is_escaped || char != '"';
            is_escaped = !is_escaped && char == '\\';
        } else if char.is_ascii_whitespace() {
            continue;
        } else {
            in_string = char == '"';
        }
        line.push(char);
    }
    RawValue::from_string(line).ok()
}

/// The JSON string that says this text.
pub(crate) fn string(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}

/// The most significant digits that every reader of JSON keeps (IEEE 754 double).
const DIGITS_MAX: usize = 15;

/// Whether a text may stand in JSON as a number, digit for digit, and lose nothing.
///
/// A plain decimal number: `0`, `-12`, `35.0`, `0.05`. Not: leading zeroes, `+`, exponents, `-0`,
/// more digits than a double holds.
pub(crate) fn is_plain_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_grammatical =
        digits(whole) && fraction.is_none_or(digits) && (whole == "0" || !whole.starts_with('0'));
    let is_zero = unsigned.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    let significant = unsigned.bytes().filter(u8::is_ascii_digit).count();
    is_grammatical && !(is_zero && text.starts_with('-')) && significant <= DIGITS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_every_token_as_it_was() {
        let text = "{ \"a\\\" b\" :\n [ 1.10 , 1e400,\t\"x\\\\\" ] }\r\n";
        assert_eq!(
            one_line(text.as_bytes()).unwrap().get(),
            "{\"a\\\" b\":[1.10,1e400,\"x\\\\\"]}"
        );
    }

    #[test]
    fn what_is_not_json_is_not() {
        for bytes in [&b"{"[..], b"", b"\xff", b"1 2", b"{\"a\":}", b"'a'"] {
            assert!(check(bytes).is_err() && one_line(bytes).is_none());
        }
    }

    #[test]
    fn depth_is_no_danger() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        let _ = one_line(deep.as_bytes());
    }

    #[test]
    fn numbers_stay_digit_for_digit_or_stay_text() {
        for plain in ["0", "-12", "35.0", "33.60", "0.05", "999999999999999", "-0.5"] {
            assert!(is_plain_number(plain), "{plain}");
        }
        for text in [
            "",
            "-",
            "007",
            "+1",
            "1e5",
            "1.",
            ".5",
            "-0",
            "-0.0",
            "1234567890123456",
            "1,5",
            "0x1",
            "NaN",
            "1 ",
            "１",
            "--1",
            "00.5",
        ] {
            assert!(!is_plain_number(text), "{text}");
        }
    }
}
