//! Factum: an event-native platform. The facade: open a store by URL
