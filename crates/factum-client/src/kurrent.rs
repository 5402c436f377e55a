//! KurrentDB's first protocol: what it has of the store trait.
