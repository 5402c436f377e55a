//! Simulated parts for the reliability programme.
