//! The store without `async`: every call waits on the calling thread.
