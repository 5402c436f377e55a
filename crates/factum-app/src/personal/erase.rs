//! Erasing a subject: the key goes, and whoever holds something about it is told.

use super::KeyError;
use crate::{
    App, Metadata,
    event::{DecodeError, Draft, Event, Raw, StreamRule, first},
};
use factum_core::{AppendError, Expected};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A subject was erased: whoever keeps personal data of it, such as the rows of a projection or an
/// index, deletes it now. A consumer hears of it by having the event in its set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SubjectErased {
    /// Who: `customer:7`.
    pub subject: String,
}

impl Event for SubjectErased {
    const TYPE: &'static str = "subject.erased";
    const TAGS: &'static [&'static str] = &["subject"];
    const STREAM: StreamRule = StreamRule { category: "subject", tag: Some("subject") };

    fn tag_values(&self) -> Vec<(&'static str, String)> {
        vec![("subject", self.subject.clone())]
    }

    fn decode(raw: &Raw<'_>) -> Result<Self, DecodeError> {
        first(raw)
    }
}

/// Why a subject was not erased, or not everybody told. Ask again: what was done is not done twice.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum EraseError {
    /// The key could not be deleted.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The subject makes no name: it is too long, or holds a NUL.
    #[error(transparent)]
    Name(#[from] crate::event::EncodeError),
    /// The key is deleted, and the store did not take the event that says so.
    #[error("the key of the subject is deleted, and the event was not written: {0}")]
    Append(#[from] AppendError),
}

impl App {
    /// Erases a subject, such as `customer:7`: deletes its key, for good, and writes
    /// [`SubjectErased`]. From then on its personal data reads as what each field says of itself
    /// once it is erased. Asking again changes nothing.
    ///
    /// # Errors
    ///
    /// The key store or the store does not answer.
    pub async fn erase(&self, subject: &str) -> Result<(), EraseError> {
        self.key_store().ok_or(KeyError::NoStore)?.erase(subject).await?;
        // States of this instance may hold what was just erased.
        self.cache().clear();
        let event = SubjectErased { subject: subject.to_owned() };
        let ctx = self.context(&Metadata::default());
        let Draft { stream, data } = Draft::new(&event, ctx.id(), ctx.metadata())?;
        let append = factum_core::Append::to(stream.clone(), [data]);
        match self.send(append.expecting(stream, Expected::NoStream), 8).await {
            // It was said before.
            Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
