//! Bugs on purpose, for the reliability programme to catch: how a crate that can have them says so.
//!
//! For tests only. The crate that asks for them has a feature `planted`; without it every question
//! is answered with a constant `false`, and nothing of a bug is in what is built.

/// Makes an enum `Bug` of a list, and with the feature `planted` of the crate that calls it: a list
/// of all bugs, what each does wrong, and the switch that turns one on in the whole process.
#[doc(hidden)]
#[macro_export]
macro_rules! planted_bugs {
    ($($(#[doc = $what:literal])+ $name:ident,)+) => {
        /// A bug that can be switched on.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Bug {
            $($(#[doc = $what])+ $name,)+
        }

        #[cfg(feature = "planted")]
        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// What it does wrong, in a sentence.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($what),+).trim_ascii(),)+
                }
            }

            /// The one of this name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|bug| format!("{bug:?}") == name)
            }
        }

        /// Which is on: one more than its place in the list, or 0.
        #[cfg(feature = "planted")]
        static ON: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

        /// Switches one bug on, or all off, in the whole process.
        #[cfg(feature = "planted")]
        pub fn set(bug: Option<Bug>) {
            let number = bug.map_or(0, |bug| bug as usize + 1);
            ON.store(number, std::sync::atomic::Ordering::SeqCst);
        }

        /// Whether a bug is on.
        #[cfg(feature = "planted")]
        pub(crate) fn is_on(bug: Bug) -> bool {
            ON.load(std::sync::atomic::Ordering::Relaxed) == bug as usize + 1
        }

        /// Whether a bug is on: never.
        #[cfg(not(feature = "planted"))]
        pub(crate) const fn is_on(_: Bug) -> bool {
            false
        }
    };
}
