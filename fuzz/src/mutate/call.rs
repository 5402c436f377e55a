//! Changing a request field by field: its lengths stay right, so that what is behind the decoder is
//! reached, where a byte that is added or taken would be refused at the door.

use factum_sim::dice::Dice;

/// What of a message is changed at once, at most.
const CHANGES_MAX: u64 = 3;
/// Bytes in front of a message: whether it is compressed, and its length.
const FRAME_BYTES: usize = 5;

#[derive(Clone)]
enum Value {
    Varint(u64),
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
}

#[derive(Clone)]
struct Field {
    number: u64,
    value: Value,
}

/// One of the messages of a call, changed; `None` where there is none.
pub(super) fn mutated(call: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
    let mut lines = call.splitn(3, |byte| *byte == b'\n');
    let (path, time, mut rest) = (lines.next()?, lines.next()?, lines.next()?);
    let mut messages = Vec::new();
    while let Some((frame, behind)) = rest.split_at_checked(FRAME_BYTES) {
        let length = u32::from_be_bytes(frame[1..].try_into().ok()?) as usize;
        let (message, next) = behind.split_at_checked(length)?;
        messages.push(message.to_vec());
        rest = next;
    }
    let at = (!messages.is_empty()).then(|| dice.index(messages.len()))?;
    for _ in 0..=dice.below(CHANGES_MAX) {
        messages[at] = change_message(&messages[at], dice);
    }
    if dice.one_in(8) {
        messages.push(messages[at].clone());
    }
    let mut call = [path, time, &[]].join(&b'\n');
    for message in messages {
        call.push(0);
        call.extend_from_slice(&u32::try_from(message.len()).ok()?.to_be_bytes());
        call.extend(message);
    }
    Some(call)
}

fn change_message(message: &[u8], dice: &mut Dice) -> Vec<u8> {
    let Some(mut fields) = parse(message) else { return message.to_vec() };
    if fields.is_empty() {
        fields.push(Field { number: 1 + dice.below(6), value: Value::Varint(dice.below(3)) });
        return write(&fields);
    }
    let at = dice.index(fields.len());
    match dice.below(8) {
        0 => drop(fields.remove(at)),
        1 => fields.push(fields[at].clone()),
        2 => fields[at].number = 1 + dice.below(10),
        _ => change_value(&mut fields[at].value, dice),
    }
    write(&fields)
}

fn change_value(value: &mut Value, dice: &mut Dice) {
    const ODD: [u64; 9] =
        [0, 1, 2, 127, 1 << 31, u32::MAX as u64, i64::MAX as u64, 1 << 63, u64::MAX];
    match value {
        Value::Varint(number) if dice.one_in(3) => *number = number.wrapping_add(1),
        Value::Varint(number) => *number = *dice.pick(&ODD),
        Value::Fixed(bytes) => bytes.fill(*dice.pick(&[0, 1, 0x7f, 0x80, 0xff])),
        Value::Bytes(bytes) if !dice.one_in(3) && parse(bytes).is_some_and(|f| !f.is_empty()) => {
            *bytes = change_message(bytes, dice);
        }
        Value::Bytes(bytes) => change_bytes(bytes, dice),
    }
}

/// Names, ids, texts and JSON.
fn change_bytes(bytes: &mut Vec<u8>, dice: &mut Dice) {
    const ODD: [&[u8]; 14] = [
        b"\0", b"$", b"$$", b"-", b"\"", b"{", b"[", b"}", b":", b"\\", b"\xff", b"9", b"e", b"(?",
    ];
    let at = dice.index(bytes.len() + 1);
    match dice.below(6) {
        0 => bytes.truncate(at),
        1 => bytes.clear(),
        2 => *bytes = bytes.repeat(1 + dice.index(200)),
        3 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
        4 if at < bytes.len() => drop(bytes.remove(at)),
        _ => drop(bytes.splice(at..at, dice.pick(&ODD).iter().copied())),
    }
    bytes.truncate(100_000);
}

fn parse(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => Value::Fixed(take(8, &mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                Value::Bytes(take(length, &mut bytes)?)
            }
            5 => Value::Fixed(take(4, &mut bytes)?),
            _ => return None,
        };
        fields.push(Field { number: tag >> 3, value });
    }
    Some(fields)
}

fn take(length: usize, bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let (front, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(front.to_vec())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn put(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn write(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Field { number, value } in fields {
        let (kind, content) = match value {
            Value::Varint(_) => (0, None),
            Value::Fixed(fixed) => (if fixed.len() == 8 { 1 } else { 5 }, Some(fixed)),
            Value::Bytes(content) => (2, Some(content)),
        };
        put(number << 3 | kind, &mut bytes);
        match value {
            Value::Varint(number) => put(*number, &mut bytes),
            Value::Bytes(content) => put(content.len() as u64, &mut bytes),
            Value::Fixed(_) => {}
        }
        bytes.extend(content.into_iter().flatten());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::corpus;

    /// Where nothing is changed nothing differs: the fields are read right.
    #[test]
    fn messages_come_back() {
        for (path, call) in corpus("call") {
            let body = call.splitn(3, |byte| *byte == b'\n').nth(2).unwrap();
            let Some(message) = body.get(FRAME_BYTES..) else { continue };
            let length = u32::from_be_bytes(body[1..FRAME_BYTES].try_into().unwrap()) as usize;
            let message = &message[..length];
            let fields = parse(message).unwrap();
            assert_eq!(write(&fields), message, "{}", path.display());
        }
    }
}
