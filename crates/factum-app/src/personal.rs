//! Personal data: fields that are encrypted with a key per subject, so that deleting the key erases
//! them everywhere: in the store, in its backups, in whatever copied the facts.
//!
//! A field with [`#[personal]`](macro@crate::event) is stored as `{"$personal": "customer:7",
//! "sealed": "…"}`. The subject is the event's first tag, or the field that `subject = …` names.
//! The ciphertext is bound to the event, its type, the field and the subject: copied elsewhere it
//! does not open.
//!
//! Encoding and decoding are synchronous, keys are not: what is appended is sealed on its way to
//! the store, and what is read is decoded with the [`Keys`] of its batch. Keys are
//! not kept between batches, so that a key that is deleted is gone at once. What was folded before
//! is not: the states that an instance keeps are forgotten where it erases, those of other
//! instances when their place in the cache is taken, and a snapshot has what its state has. Keep
//! personal data out of states with snapshots.
//!
//! | module | feature |
//! |---|---|
//! | [`KeyStore`], [`Keys`]: where keys come from | – |
//! | `StreamKeys`, `MemoryKeys`, `App::erase`, sealing and opening | `personal` |

#[cfg(feature = "personal")]
mod erase;
mod keys;
mod mark;
#[cfg(feature = "personal")]
mod memory;
mod seal;
#[cfg(feature = "personal")]
mod stream;

#[cfg(feature = "personal")]
pub use erase::{EraseError, SubjectErased};
pub use keys::{Key, KeyError, KeyState, KeyStore, Keys};
pub use mark::PersonalField;
pub(crate) use mark::{has_marks, is_marked, marked, open};
#[cfg(feature = "personal")]
pub use memory::MemoryKeys;
pub(crate) use seal::seal;
#[cfg(feature = "personal")]
pub use stream::StreamKeys;
