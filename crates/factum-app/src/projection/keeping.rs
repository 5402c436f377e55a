//! A projection that is kept, from outside: pausing it, making it anew, and what is parked.

use super::{
    Projection, Registered,
    target::{Parked, Renew, Role, Table, TargetError},
};
use crate::{App, consumer::ConsumerHandle};

/// A projection of an app: `app.projection::<Summary>()`.
#[derive(Debug)]
pub struct Keeping<'a> {
    app: &'a App,
    of: &'a Registered,
}

impl App {
    /// The keeping of a projection; `None` where it was not registered.
    #[must_use]
    pub fn projection<P: Projection>(&self) -> Option<Keeping<'_>> {
        self.views().get::<P>().map(|of| Keeping { app: self, of })
    }
}

impl Keeping<'_> {
    /// The consumers that keep it, one a part.
    #[must_use]
    pub fn consumers(&self) -> Vec<ConsumerHandle> {
        self.of_role(Role::Keeper)
    }

    /// The consumers that build it anew while it is kept; idle most of the time.
    #[must_use]
    pub fn builders(&self) -> Vec<ConsumerHandle> {
        self.of_role(Role::Builder)
    }

    fn of_role(&self, role: Role) -> Vec<ConsumerHandle> {
        let names = (0..self.of.parts).map(|index| self.of.consumer(index, role));
        names.filter_map(|name| self.app.consumer_of(&name, self.of.table.version)).collect()
    }

    /// Stops it where it is, until it is resumed. It is read meanwhile.
    pub async fn pause(&self) {
        for consumer in self.consumers() {
            consumer.pause().await;
        }
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.consumers().iter().for_each(ConsumerHandle::resume);
    }

    /// Makes it anew from the first event on, beside the one that is read, which is kept up to date
    /// until the new one has caught up and takes its place.
    ///
    /// # Errors
    ///
    /// The target did not do it.
    pub async fn rebuild(&self) -> Result<(), TargetError> {
        self.app.views().target().renew(&self.of.table, Renew::Beside).await?;
        self.builders().iter().for_each(ConsumerHandle::resume);
        Ok(())
    }

    /// Throws away its rows and what is parked, and begins at the first event. There is nothing to
    /// read until it has caught up.
    ///
    /// # Errors
    ///
    /// The target did not do it.
    pub async fn reset(&self) -> Result<(), TargetError> {
        self.app.views().target().renew(&self.of.table, Renew::Instead).await?;
        self.consumers().iter().for_each(ConsumerHandle::kick);
        Ok(())
    }

    /// What is parked, oldest first.
    ///
    /// # Errors
    ///
    /// The target does not answer.
    pub async fn parked(&self) -> Result<Vec<Parked>, TargetError> {
        self.app.views().target().parked(&self.of.table).await
    }

    /// Applies what is parked after all: where the cause is mended. What fails again stays.
    pub fn redrive(&self) {
        self.of.redrive.ask();
        self.consumers().iter().for_each(ConsumerHandle::kick);
    }

    /// Removes the rows of all versions before this one. Only when no program reads them any more.
    ///
    /// # Errors
    ///
    /// The target did not do it.
    pub async fn remove_older(&self) -> Result<(), TargetError> {
        let Table { name, version } = &self.of.table;
        let target = self.app.views().target();
        for older in target.versions(name).await? {
            if older < *version {
                target.remove(&Table { name: name.clone(), version: older }).await?;
            }
        }
        Ok(())
    }
}
