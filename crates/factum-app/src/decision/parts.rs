//! One state, or several side by side, each with its own boundary.

use super::{
    Boundary, State,
    error::LoadError,
    load::{Appended, Loaded, Loader},
    mark::Mark,
};
use crate::event::EventSet;
use factum_core::InvalidName;
use std::sync::Arc;

/// What a decision reads: a [`State`], or a tuple of two or three of them.
///
/// The events that the decision emits are of the first one's set.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a state",
    label = "no `State`",
    note = "write `impl State for {Self}`: the events it knows, and `evolve`"
)]
pub trait Parts: Send + Sync + Sized + 'static {
    /// Which facts each is folded of.
    type Boundary: Send + Sync + 'static;

    /// What the decision emits.
    type Event: EventSet;

    /// What was read, with the marks that say how far.
    #[doc(hidden)]
    type Read: Send + Sync;

    /// The boundary that a command's tags give: each state takes those that its events carry.
    ///
    /// # Errors
    ///
    /// A value makes no name.
    fn boundary(tags: &[(&'static str, String)]) -> Result<Self::Boundary, InvalidName>;

    /// Every boundary.
    #[doc(hidden)]
    fn boundaries(boundary: &Self::Boundary) -> Vec<&Boundary>;

    /// Every boundary, with the marks of what was read of it.
    #[doc(hidden)]
    fn marked<'a>(boundary: &'a Self::Boundary, read: &'a Self::Read) -> Vec<Seen<'a>>;

    /// Reads all of it from one snapshot.
    #[doc(hidden)]
    fn load(
        loader: &mut Loader<'_>,
        boundary: &Self::Boundary,
    ) -> impl Future<Output = Result<Self::Read, LoadError>> + Send;

    /// What the decision looks at.
    #[doc(hidden)]
    fn state(read: &Self::Read) -> &Self;

    /// Keeps the state after what was appended.
    #[doc(hidden)]
    fn keep(loader: &mut Loader<'_>, appended: Appended<'_, Self>);
}

/// A boundary and how far it was read.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Which facts.
    pub boundary: &'a Boundary,
    /// How far each part was read.
    pub marks: &'a [Mark],
}

impl<S: State> Parts for S {
    type Boundary = Boundary;
    type Event = S::Event;
    type Read = Arc<Loaded<S>>;

    fn boundary(tags: &[(&'static str, String)]) -> Result<Boundary, InvalidName> {
        Boundary::tagged::<S::Event>(tags)
    }

    fn boundaries(boundary: &Boundary) -> Vec<&Boundary> {
        vec![boundary]
    }

    fn marked<'a>(boundary: &'a Boundary, read: &'a Self::Read) -> Vec<Seen<'a>> {
        vec![Seen { boundary, marks: read.marks() }]
    }

    async fn load(loader: &mut Loader<'_>, boundary: &Boundary) -> Result<Self::Read, LoadError> {
        loader.load::<S>(boundary).await
    }

    fn state(read: &Self::Read) -> &Self {
        read.state()
    }

    fn keep(loader: &mut Loader<'_>, appended: Appended<'_, Self>) {
        loader.keep(appended);
    }
}

/// Tuples: each state is read as of the head at which the first was read. What was appended is not
/// folded onto them: each is read up to date the next time.
macro_rules! tuple {
    ($($state:ident $at:tt),+) => {
        impl<$($state: State),+> Parts for ($($state,)+) {
            type Boundary = ($(tuple!(@boundary $state),)+);
            type Event = <tuple!(@first $($state)+) as State>::Event;
            type Read = (Self, [Vec<Mark>; tuple!(@count $($state)+)]);

            fn boundary(tags: &[(&'static str, String)]) -> Result<Self::Boundary, InvalidName> {
                Ok(($(Boundary::tagged::<$state::Event>(tags)?,)+))
            }

            fn boundaries(boundary: &Self::Boundary) -> Vec<&Boundary> {
                vec![$(&boundary.$at),+]
            }

            fn marked<'a>(
                boundary: &'a Self::Boundary,
                read: &'a Self::Read,
            ) -> Vec<Seen<'a>> {
                let boundaries = [$(&boundary.$at),+];
                let seen = boundaries.into_iter().zip(&read.1);
                seen.map(|(boundary, marks)| Seen { boundary, marks }).collect()
            }

            async fn load(
                loader: &mut Loader<'_>,
                boundary: &Self::Boundary,
            ) -> Result<Self::Read, LoadError> {
                loader.distrust();
                let read = ($(loader.load::<$state>(&boundary.$at).await?,)+);
                let marks = [$(read.$at.marks().to_vec()),+];
                Ok((($(read.$at.state().clone(),)+), marks))
            }

            fn state(read: &Self::Read) -> &Self {
                &read.0
            }

            fn keep(_: &mut Loader<'_>, _: Appended<'_, Self>) {}
        }
    };
    (@boundary $state:ident) => { Boundary };
    (@first $first:ident $($rest:ident)*) => { $first };
    (@count $one:ident $two:ident) => { 2 };
    (@count $one:ident $two:ident $three:ident) => { 3 };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
