//! Which events a program knows: sets of them, several at once.

use crate::event::{DecodeError, EventSet, Members, Raw};

/// One set, or a tuple of up to eight: all that a program knows.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no set of events, and no tuple of sets",
    note = "write the sets that the program reads and writes: `(OrderEvent, PaymentEvent)`"
)]
pub trait EventSets {
    /// The members of each.
    fn members() -> Vec<&'static Members>;

    /// Whether each that knows the type of this reads it.
    ///
    /// # Errors
    ///
    /// One does not.
    #[doc(hidden)]
    fn read(raw: &Raw<'_>) -> Result<(), DecodeError>;
}

impl<S: EventSet> EventSets for S {
    fn members() -> Vec<&'static Members> {
        vec![S::MEMBERS]
    }

    fn read(raw: &Raw<'_>) -> Result<(), DecodeError> {
        S::decode(raw).map(drop)
    }
}

macro_rules! tuple {
    ($($set:ident)+) => {
        impl<$($set: EventSet),+> EventSets for ($($set,)+) {
            fn members() -> Vec<&'static Members> {
                vec![$($set::MEMBERS),+]
            }

            fn read(raw: &Raw<'_>) -> Result<(), DecodeError> {
                $($set::decode(raw)?;)+
                Ok(())
            }
        }
    };
}

tuple!(A);
tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);
tuple!(A B C D E F G);
tuple!(A B C D E F G H);
