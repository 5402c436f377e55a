//! Both clients against the real server over a store in memory: the conformance suite, and what
//! becomes of calls when the server goes away.

mod connection;
mod harness;
mod proxy;
mod support;

mod factum {
    //! `factum://` passes every case.

    use crate::{
        harness::{Protocol, Remote},
        support::run,
    };

    factum_testkit::conformance!(Remote::new(Protocol::Factum), run = run);
}

mod kurrent {
    //! `kurrentdb://` passes every case that the protocol has words for, and refuses the others.

    use crate::{
        harness::{Protocol, Remote},
        support::run,
    };

    factum_testkit::conformance!(Remote::new(Protocol::Kurrent), run = run);
}
