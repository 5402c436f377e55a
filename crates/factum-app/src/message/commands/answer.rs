//! What becomes of a command, and its form on the wire and in the store: JSON, one shape for both.

use crate::Receipt;
use factum_core::{InvalidName, Position, Revision, StreamName, Uuid, Written};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What became of a command in another service.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// It was done; with its receipt, where it was decided on facts. `replayed` says that it had
    /// been done before.
    Done(Option<Receipt>),
    /// There was nothing to do, and why.
    Nothing(String),
    /// It was refused.
    Refused(Refused),
}

/// How a command was refused.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Refused {
    /// As text: the refusal's `Debug`.
    pub why: String,
    /// As data, where the other service tells it.
    pub value: Option<Value>,
}

impl Refused {
    /// The refusal as the type that both services know.
    ///
    /// # Errors
    ///
    /// It is another, or the other service tells only the text: it is of another release, then.
    pub fn data<R: DeserializeOwned>(&self) -> Result<R, serde_json::Error> {
        R::deserialize(self.value.as_ref().unwrap_or(&Value::Null))
    }
}

/// All that may become of a command: what its sender hears.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum Told {
    Done {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<ToldReceipt>,
    },
    Nothing {
        why: String,
    },
    Refused {
        why: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Value>,
    },
    /// It came too late, and was not begun.
    Expired,
    /// No such command is known there, or not in this shape.
    Misunderstood {
        why: String,
    },
    /// It could not be done.
    Failed {
        why: String,
    },
}

/// What becomes of a command, with which one it is: an event, for who does not wait for it.
#[derive(Serialize)]
pub(super) struct Spoken<'a> {
    pub(super) command: &'a str,
    /// Its key, or else the id of its message.
    pub(super) key: &'a str,
    #[serde(flatten)]
    pub(super) told: &'a Told,
}

impl Told {
    /// Why a human should look at it, where one should.
    pub(super) fn trouble(&self) -> Option<&str> {
        match self {
            Self::Misunderstood { why } | Self::Failed { why } => Some(why),
            _ => None,
        }
    }
}

/// A receipt as JSON.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct ToldReceipt {
    position: u64,
    streams: Vec<ToldStream>,
    ids: Vec<Uuid>,
    correlation: Uuid,
    #[serde(default)]
    replayed: bool,
}

impl ToldReceipt {
    /// Whether the command had been done before.
    pub(super) fn is_replayed(&self) -> bool {
        self.replayed
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct ToldStream {
    stream: String,
    first: u64,
    last: u64,
}

impl From<Receipt> for ToldReceipt {
    fn from(receipt: Receipt) -> Self {
        let streams = receipt.streams.into_iter().map(|one| ToldStream {
            stream: one.stream.to_string(),
            first: one.first.0,
            last: one.last.0,
        });
        Self {
            position: receipt.position.0,
            streams: streams.collect(),
            ids: receipt.ids,
            correlation: receipt.correlation,
            replayed: receipt.replayed,
        }
    }
}

impl TryFrom<ToldReceipt> for Receipt {
    type Error = InvalidName;

    fn try_from(told: ToldReceipt) -> Result<Self, InvalidName> {
        let streams = told.streams.into_iter().map(|one| {
            let stream = StreamName::new(&one.stream)?;
            Ok(Written { stream, first: Revision(one.first), last: Revision(one.last) })
        });
        Ok(Self {
            position: Position(told.position),
            streams: streams.collect::<Result<_, _>>()?,
            ids: told.ids,
            correlation: told.correlation,
            replayed: told.replayed,
            nothing: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_form_is_what_others_may_rely_on() {
        let receipt = Receipt {
            position: Position(9),
            streams: vec![Written {
                stream: StreamName::new("order-7").unwrap(),
                first: Revision(1),
                last: Revision(2),
            }],
            ids: vec![Uuid::from_u128(1)],
            correlation: Uuid::from_u128(2),
            replayed: true,
            nothing: None,
        };
        let told = Told::Done { receipt: Some(receipt.clone().into()) };
        let json = serde_json::json!({
            "outcome": "done",
            "receipt": {
                "position": 9,
                "streams": [{ "stream": "order-7", "first": 1, "last": 2 }],
                "ids": ["00000000-0000-0000-0000-000000000001"],
                "correlation": "00000000-0000-0000-0000-000000000002",
                "replayed": true,
            },
        });
        assert_eq!(serde_json::to_value(&told).unwrap(), json);
        let Told::Done { receipt: Some(back) } = serde_json::from_value(json).unwrap() else {
            panic!()
        };
        assert_eq!(Receipt::try_from(back).unwrap(), receipt);
        let expired = serde_json::json!({ "command": "a", "key": "b", "outcome": "expired" });
        let spoken = Spoken { command: "a", key: "b", told: &Told::Expired };
        assert_eq!(serde_json::to_value(spoken).unwrap(), expired);
        assert_eq!(serde_json::from_value::<Told>(expired).unwrap(), Told::Expired);
    }
}
