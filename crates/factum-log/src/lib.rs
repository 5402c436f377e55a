//! Factum's embedded engine: an append-only log with an inverted index
