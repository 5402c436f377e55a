//! What becomes of one command: found out once, and remembered.
//!
//! What a command emitted carries its key, so that a receipt is found again. Any other answer is
//! remembered by a note with the same key, under the condition that there is nothing with it yet:
//! so of all that try a command at the same time one has its way, and all tell the same.

use super::{Answers, answer::Told, asked::Asked, table::Trouble};
use crate::{
    App, LoadError, Metadata,
    consumer::caught,
    decision::keyed,
    planted::{Bug, is_on},
};
use factum_core::{Append, AppendError, EventData, EventType, InvalidName, StreamName, Tag};

/// The type of a note.
const NOTE: &str = "$command.answered";
/// How often an append is sent, at most, where its outcome is unknown or the store is busy.
const SENDS_MAX: u32 = 8;

/// Where commands are judged.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub(super) app: &'a App,
    pub(super) answers: &'a Answers,
    /// Whose notes they are.
    pub(super) name: &'a str,
}

impl From<LoadError> for Trouble {
    fn from(error: LoadError) -> Self {
        let retryable = matches!(&error, LoadError::Read(error) if error.is_retryable());
        Self { retryable, why: error.to_string() }
    }
}

impl From<AppendError> for Trouble {
    fn from(error: AppendError) -> Self {
        Self { retryable: error.is_retryable(), why: error.to_string() }
    }
}

impl From<InvalidName> for Trouble {
    fn from(error: InvalidName) -> Self {
        Self { retryable: false, why: error.to_string() }
    }
}

impl Desk<'_> {
    /// What becomes of a command, durable where that is more than that nobody could do it.
    pub(super) async fn answer(&self, asked: &Asked) -> Result<Told, Trouble> {
        let wrong = asked.wrong.clone().or_else(|| self.answers.knows(&asked.name).err());
        if let Some(why) = wrong {
            return self.unless_done(asked, Told::Misunderstood { why }).await;
        }
        let tag = tag(asked)?;
        let late = asked.has_expired(self.app.world().now());
        if late && !is_on(Bug::BeginExpired) {
            return self.note(&tag, Told::Expired).await;
        }
        if !self.answers.is_decided(&asked.name)
            && let Some(first) = self.first(&tag).await?
        {
            return Ok(first);
        }
        let does = caught(self.answers.does(self.app, asked)).await;
        let told = does.unwrap_or_else(|why| Err(Trouble { retryable: true, why }))?;
        match told {
            // What was done before may be no more than a note.
            Told::Done { receipt: Some(receipt) } if receipt.is_replayed() => {
                let first = self.first(&tag).await?;
                Ok(first.unwrap_or(Told::Done { receipt: Some(receipt) }))
            }
            Told::Done { receipt: Some(_) } => Ok(told),
            Told::Misunderstood { .. } | Told::Failed { .. } => self.unless_done(asked, told).await,
            told if is_on(Bug::TellWithoutNote) => Ok(told),
            told => self.note(&tag, told).await,
        }
    }

    /// That nobody could do it, unless it was done before: then it is that answer. It is not
    /// remembered, so that it may be done yet, put right and sent again.
    pub(super) async fn unless_done(&self, asked: &Asked, told: Told) -> Result<Told, Trouble> {
        // Nothing was ever done under what is no tag.
        let Ok(tag) = tag(asked) else { return Ok(told) };
        Ok(self.first(&tag).await?.unwrap_or(told))
    }

    /// Remembers an answer, unless there is one: then it is that.
    async fn note(&self, tag: &Tag, told: Told) -> Result<Told, Trouble> {
        let data = serde_json::to_vec(&told).expect("texts are JSON");
        let ctx = self.app.context(&Metadata::default());
        let name = EventType::new(NOTE).expect("it is a name");
        let event = EventData::new(ctx.id(), name, data).with_tags([tag.clone()]);
        let append = Append {
            events: vec![(stream(self.name)?, event)],
            checks: vec![keyed::check(tag)],
            tracking: None,
        };
        match self.app.send(append, SENDS_MAX).await {
            Ok(_) => Ok(told),
            Err(error @ AppendError::Conflict { .. }) => {
                // It may be gone again, deleted with what it was about.
                let gone = Trouble { retryable: true, why: error.to_string() };
                self.first(tag).await?.ok_or(gone)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What a command came to before.
    async fn first(&self, tag: &Tag) -> Result<Option<Told>, Trouble> {
        let events = keyed::events(self.app.store(), tag).await?;
        let note = events.first().filter(|event| event.event_type().as_str() == NOTE);
        if let Some(note) = note {
            let told = serde_json::from_slice(note.data());
            let why = |error| Trouble { retryable: false, why: format!("its note: {error}") };
            return told.map(Some).map_err(why);
        }
        Ok(keyed::receipt(&events).map(|receipt| Told::Done { receipt: Some(receipt.into()) }))
    }
}

fn tag(asked: &Asked) -> Result<Tag, InvalidName> {
    keyed::tag(&asked.name, asked.call.key.as_deref().unwrap_or_default())
}

/// Where notes are. A category ends at the first `-`, so that a name has none here.
pub(super) fn stream(name: &str) -> Result<StreamName, InvalidName> {
    let name = name.replace('%', "%25").replace('-', "%2D");
    StreamName::new(&format!("$answers.{name}-notes"))
}
