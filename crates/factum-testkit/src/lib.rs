//! The conformance suite that every Factum store passes
