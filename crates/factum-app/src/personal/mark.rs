//! Personal fields in the JSON of an event: marked, sealed, opened, erased.
//!
//! | where | JSON |
//! |---|---|
//! | on its way to the store | `{"$personal": "customer:7", "open": "ann@example.org"}` |
//! | in the store | `{"$personal": "customer:7", "sealed": "…"}` |

use super::{KeyState, Keys};
use crate::event::{DecodeError, Event, Raw, Why};
use factum_core::RecordedEvent;
use memchr::memmem;
use serde_json::{Map, Value, json};

pub(super) const SUBJECT: &str = "$personal";
pub(super) const OPEN: &str = "open";
pub(super) const SEALED: &str = "sealed";

/// A field with `#[personal]`.
#[derive(Clone, Copy, Debug)]
pub struct PersonalField {
    /// Its name as it is stored.
    pub name: &'static str,
    /// What is read once it is erased.
    pub erased: fn() -> Result<Value, serde_json::Error>,
}

/// Whether a payload may have marks: most have none, and are not parsed to find that out.
pub(crate) fn is_marked(data: &[u8]) -> bool {
    memmem::find(data, SUBJECT.as_bytes()).is_some()
}

/// Whether a payload has marks.
pub(crate) fn has_marks(data: &[u8]) -> bool {
    let parsed = || serde_json::from_slice::<Value>(data);
    is_marked(data) && parsed().is_ok_and(|mut value| marks(&mut value).next().is_some())
}

/// The JSON of an event with its personal fields marked.
pub(crate) fn marked<E: Event>(event: &E) -> Result<Vec<u8>, serde_json::Error> {
    let mut value = serde_json::to_value(event)?;
    for (field, subject) in E::PERSONAL.iter().zip(event.subjects()) {
        if let Some(slot) = value.get_mut(field.name).filter(|slot| !slot.is_null()) {
            let open = slot.take();
            *slot = json!({ SUBJECT: subject, OPEN: open });
        }
    }
    serde_json::to_vec(&value)
}

/// The marked fields of a payload: name, subject, and the mark.
pub(super) fn marks(value: &mut Value) -> impl Iterator<Item = (&str, String, &mut Value)> {
    let fields = value.as_object_mut().into_iter().flatten();
    fields.filter_map(|(name, slot)| {
        let subject = slot.get(SUBJECT)?.as_str()?.to_owned();
        Some((name.as_str(), subject, slot))
    })
}

/// Whose sealed fields an event has.
pub(super) fn subjects_of(event: &RecordedEvent) -> Vec<String> {
    let value = serde_json::from_slice::<Value>(event.data());
    let mut value = value.unwrap_or_default();
    marks(&mut value).filter(|mark| mark.2.get(SEALED).is_some()).map(|mark| mark.1).collect()
}

/// Opens the personal fields of an event.
pub(crate) fn open<E: Event>(raw: &Raw<'_>, value: &mut Value) -> Result<(), DecodeError> {
    for field in E::PERSONAL {
        let Some(slot) = value.get_mut(field.name) else { continue };
        let Some(mark) = slot.as_object().filter(|mark| mark.contains_key(SUBJECT)) else {
            // It was stored before the field was personal.
            continue;
        };
        *slot = opened(raw, field, mark).map_err(|why| raw.error(why))?;
    }
    Ok(())
}

fn opened(raw: &Raw<'_>, field: &PersonalField, mark: &Map<String, Value>) -> Result<Value, Why> {
    let text = |key| mark.get(key).and_then(Value::as_str);
    let subject = text(SUBJECT).unwrap_or_default();
    let key_error = |what: &str| Why::Personal {
        field: field.name.into(),
        subject: subject.into(),
        what: what.into(),
    };
    if let Some(open) = mark.get(OPEN) {
        return Ok(open.clone());
    }
    match raw.keys.and_then(|keys: &Keys| keys.get(subject)) {
        None => Err(key_error("the app has no key store: `AppBuilder::personal`")),
        Some(KeyState::Absent) => Err(key_error(
            "the key store has no key of the subject, and did not delete one: restore it",
        )),
        Some(KeyState::Erased) => {
            (field.erased)().map_err(|error| Why::Payload { what: error.to_string().into() })
        }
        Some(KeyState::Key(key)) => {
            let bound = super::seal::Bound {
                id: raw.id,
                event_type: raw.event_type,
                field: field.name,
                subject,
            };
            super::seal::unseal(key, &bound, text(SEALED).unwrap_or_default())
                .ok_or_else(|| key_error("it does not open: another key, or copied from elsewhere"))
        }
    }
}
