//! Waiting until a view is new enough, and reading it then.

use super::{Need, Stamped, View, ViewError};
use crate::{
    consumer::{ConsumerHandle, Either, Progress, RunState, race},
    projection::{
        Projection, TargetError, decode, part_of,
        target::{Role, Seen, StoredRow, Table},
    },
    world::BoxFuture,
};
use factum_core::Position;
use std::{future::poll_fn, task::Poll};
use tokio::sync::watch;

/// How far the consumers are that an answer depends on.
pub(super) struct Parts<'a> {
    name: &'static str,
    need: Need,
    progress: Vec<watch::Receiver<Progress>>,
    limit: BoxFuture<'a, ()>,
    /// Nobody was asked yet, and the rows may be new enough though the consumers are not.
    hasty: bool,
}

impl<'a> Parts<'a> {
    /// Of the parts that have a key; of all, where there is none.
    pub(super) fn of<P: Projection>(
        view: &View<'a, P>,
        key: Option<&str>,
    ) -> Result<Self, ViewError> {
        let of = view.registered()?;
        let all = 0..of.parts;
        let wanted = all.filter(|part| key.is_none_or(|key| part_of(key, of.parts) == *part));
        let names = wanted.map(|part| of.consumer(part, Role::Keeper));
        let consumers = names.filter_map(|name| view.app.consumer_of(&name, of.table.version));
        let progress = consumers.map(|one: ConsumerHandle| one.progress()).collect();
        let limit = view.app.world().sleep(view.need.within);
        let (name, need, hasty) = (P::NAME, view.need, of.is_inline);
        Ok(Self { name, need, progress, limit, hasty })
    }

    fn through(&self) -> Position {
        let through = self.progress.iter().map(|one| one.borrow().through);
        through.min().unwrap_or_default()
    }

    /// Waits until all have what is needed.
    async fn reach(&mut self) -> Result<(), ViewError> {
        let (name, Need { at_least, within }) = (self.name, self.need);
        if at_least == Position::START {
            return Ok(());
        }
        for progress in &mut self.progress {
            let reached = progress.wait_for(|now| {
                now.through >= at_least || matches!(now.state, RunState::Stopped { .. })
            });
            let now = match race(reached, &mut self.limit).await {
                Either::First(Ok(now)) => Some(now.clone()),
                Either::First(Err(_)) | Either::Second(()) => None,
            };
            let Some(now) = now else {
                let through = progress.borrow().through;
                return Err(ViewError::Behind { name, at_least, through, within });
            };
            if let (RunState::Stopped { why }, true) = (now.state, now.through < at_least) {
                return Err(ViewError::Stopped { name, through: now.through, why });
            }
        }
        Ok(())
    }

    /// What is there now has been looked at.
    pub(super) fn look(&mut self) {
        self.progress.iter_mut().for_each(|one| drop(one.borrow_and_update()));
    }

    /// Waits, without a limit, until any of them is further than when it was looked at.
    pub(super) async fn changed(&mut self) {
        any_changed(&mut self.progress).await;
    }

    /// Waits until any of them is further.
    async fn change(&mut self, not_ready: bool) -> Result<(), ViewError> {
        let (name, Need { at_least, within }) = (self.name, self.need);
        match race(any_changed(&mut self.progress), &mut self.limit).await {
            Either::First(()) => Ok(()),
            Either::Second(()) => {
                let through = self.through();
                Err(match not_ready {
                    true => ViewError::Building { name, through, within },
                    false => ViewError::Behind { name, at_least, through, within },
                })
            }
        }
    }

    /// Whether an answer has what is needed: it says so itself, or it is of what the consumers are
    /// at, which may be further than the checkpoint that the target knows.
    fn is_enough<T>(&self, seen: &Seen<T>) -> bool {
        let is_of = |one: &watch::Receiver<Progress>| {
            let now = one.borrow();
            now.generation == seen.generation && now.through >= self.need.at_least
        };
        seen.through >= self.need.at_least || self.progress.iter().all(is_of)
    }

    /// Waits until it is worth while to read. What changes while it is read is looked at again.
    pub(super) async fn ready(&mut self) -> Result<(), ViewError> {
        if !self.hasty {
            self.reach().await?;
        }
        self.look();
        Ok(())
    }

    /// What was read, if that is new enough; otherwise waits for a change, and nothing.
    pub(super) async fn judge<T>(
        &mut self,
        read: Result<Seen<T>, TargetError>,
    ) -> Result<Option<Seen<T>>, ViewError> {
        let was_hasty = std::mem::take(&mut self.hasty);
        let not_ready = match read {
            Ok(seen) if self.is_enough(&seen) => return Ok(Some(seen)),
            Ok(_) | Err(TargetError::NotReady) if was_hasty => return Ok(None),
            Ok(_) => false,
            Err(TargetError::NotReady) => true,
            Err(source) => return Err(ViewError::Target { name: self.name, source }),
        };
        self.change(not_ready).await?;
        Ok(None)
    }
}

async fn any_changed(progress: &mut [watch::Receiver<Progress>]) {
    let mut changes: Vec<_> = progress.iter_mut().map(|one| Box::pin(one.changed())).collect();
    poll_fn(|context| {
        let mut polled = changes.iter_mut().map(|one| one.as_mut().poll(context));
        match polled.any(|poll| matches!(poll, Poll::Ready(Ok(())))) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

/// A row, of this version or, until that is ready, of the newest before it.
pub(super) async fn row<P: Projection>(
    view: &View<'_, P>,
    key: &str,
) -> Result<Option<Stamped<P>>, ViewError> {
    let mut parts = Parts::of(view, Some(key))?;
    let table = &view.registered()?.table;
    let seen = loop {
        parts.ready().await?;
        if let Some(seen) = parts.judge(read(view, table, key).await).await? {
            break seen;
        }
    };
    if parts.progress.iter().any(|one| one.borrow().parked > 0) {
        refuse_parked(view, key).await?;
    }
    Ok(seen.value)
}

async fn read<P: Projection>(
    view: &View<'_, P>,
    table: &Table,
    key: &str,
) -> Result<Seen<Option<Stamped<P>>>, TargetError> {
    let target = view.app.views().target();
    let (Seen { value, through, generation }, version) = match target.get(table, key).await {
        Err(TargetError::NotReady) => {
            let older = older(view, table).await?;
            (of_older(target.get(&older, key).await?), older.version)
        }
        seen => (seen?, table.version),
    };
    let value = value.map(|row| stamped(row, through, version)).transpose()?;
    Ok(Seen { value, through, generation })
}

/// A row as one of this version, whatever version it is of.
pub(super) fn stamped<P: Projection>(
    row: StoredRow,
    through: Position,
    version: u32,
) -> Result<Stamped<P>, TargetError> {
    let value = match version == P::VERSION {
        true => decode::<P>(&row)?,
        false => from_older::<P>(version, &row)?,
    };
    Ok(Stamped { value, key: row.key, at: row.at, through, version })
}

/// What the consumers of this version are at says nothing about another one's rows.
pub(super) fn of_older<T>(seen: Seen<T>) -> Seen<T> {
    Seen { generation: 0, ..seen }
}

/// The newest version before this one that is ready.
pub(super) async fn older<P: Projection>(
    view: &View<'_, P>,
    table: &Table,
) -> Result<Table, TargetError> {
    let versions = view.app.views().target().versions(&table.name).await?;
    let older = versions.into_iter().rev().find(|version| *version < table.version);
    let version = older.ok_or(TargetError::NotReady)?;
    Ok(Table { name: table.name.clone(), version })
}

fn from_older<P: Projection>(version: u32, row: &StoredRow) -> Result<P, TargetError> {
    let value = serde_json::from_slice(&row.data).map_err(|error| TargetError::Broken {
        why: format!("the row {:?} of {:?} is no JSON: {error}", row.key, P::NAME),
    })?;
    P::from_older(version, value).ok_or(TargetError::NotReady)
}

/// Who asks for at least an event that is parked is told so.
async fn refuse_parked<P: Projection>(view: &View<'_, P>, key: &str) -> Result<(), ViewError> {
    let name = P::NAME;
    let target = view.app.views().target();
    let parked = target.parked(&view.registered()?.table).await;
    let parked = parked.map_err(|source| ViewError::Target { name, source })?;
    let of_key = parked.into_iter().find(|one| one.key.as_deref().is_none_or(|one| one == key));
    match of_key {
        Some(one) if one.key.is_some() && one.position <= view.need.at_least => {
            let (key, position) = (key.to_owned(), one.position);
            let why = one.why.unwrap_or_default();
            Err(ViewError::Parked { name, key, position, why })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// What was made anew may be behind what it replaced, for a moment. Who was told by the latter
    /// that it has reached a position does not take the former's rows for that new.
    #[test]
    fn an_answer_of_another_generation_is_judged_by_itself() {
        for (generation, through, enough) in [(1, 5, true), (2, 8, false), (2, 9, true)] {
            let now = Progress { generation: 1, through: Position(9), ..Progress::default() };
            let (_now, progress) = watch::channel(now);
            let parts = Parts {
                name: "x",
                need: Need { at_least: Position(9), within: Duration::ZERO },
                progress: vec![progress],
                limit: Box::pin(std::future::pending()),
                hasty: false,
            };
            let seen = Seen { value: (), through: Position(through), generation };
            assert_eq!(parts.is_enough(&seen), enough, "{seen:?}");
        }
    }
}
