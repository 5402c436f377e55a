//! The engine's cold store over an S3 bucket.
//!
//! The engine calls from its own threads and waits; requests run on a small runtime that lives
//! here. What is waited for is a channel, never a runtime, so that a caller may be anywhere, on the
//! thread of another runtime too.

use crate::address::{Address, AddressError};
use factum_log::{
    disk::File,
    tier::{ColdError, ColdStore},
};
use futures_util::TryStreamExt;
use object_store::{
    BackoffConfig, ClientOptions, Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload,
    RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};
use std::{
    fmt,
    ops::Range,
    sync::{Arc, mpsc},
    time::Duration,
};
use tokio::runtime::{Builder, Runtime};

/// Bytes of one part of an upload: an object of up to so many goes in one piece.
const PART_BYTES: u64 = 8 << 20;
/// How long one request may take, and all tries of one together.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
const RETRY_TIME_MAX: Duration = Duration::from_secs(10);
const RETRIES_MAX: usize = 3;
/// How long who reads waits for a block.
const READ_TIME_MAX: Duration = Duration::from_secs(10);
/// How long who moves a segment waits for a part.
const WRITE_TIME_MAX: Duration = Duration::from_secs(120);

/// Why an object storage was not opened.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum TierError {
    /// The URL is wrong.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The settings of the environment contradict each other, or are no settings.
    #[error("the object storage cannot be used: {why}")]
    Settings {
        /// What is wrong.
        why: String,
    },
    /// The system gives no thread.
    #[error("no thread for the object storage: {source}")]
    Threads {
        /// What the system says.
        source: std::io::Error,
    },
}

/// Who asks.
#[derive(Clone)]
pub struct Credentials {
    /// The public part.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Sealed segments in a bucket.
pub struct ObjectTier {
    store: Arc<AmazonS3>,
    prefix: String,
    location: String,
    /// Taken when this is dropped, to end it without waiting.
    runtime: Option<Runtime>,
}

impl fmt::Debug for ObjectTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectTier").field("location", &self.location).finish_non_exhaustive()
    }
}

impl Drop for ObjectTier {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl ObjectTier {
    /// The bucket that a URL names: `s3://bucket/prefix?region=…&endpoint=…`. Nothing is asked yet.
    /// Credentials come from the environment.
    ///
    /// # Errors
    /// [`TierError`] says what is wrong with the URL or with the settings in the environment.
    pub fn open(url: &str) -> Result<Self, TierError> {
        Self::build(url, AmazonS3Builder::from_env())
    }

    /// The same with credentials of the program's own, whatever the environment says.
    ///
    /// # Errors
    /// As [`ObjectTier::open`].
    pub fn open_as(url: &str, credentials: &Credentials) -> Result<Self, TierError> {
        let builder = AmazonS3Builder::new()
            .with_access_key_id(&credentials.access_key_id)
            .with_secret_access_key(&credentials.secret_access_key);
        Self::build(url, builder)
    }

    fn build(url: &str, builder: AmazonS3Builder) -> Result<Self, TierError> {
        let Address { bucket, prefix, region, endpoint } = Address::parse(url)?;
        // Another library of this process may have chosen; either will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        };
        let (max_retries, retry_timeout) = (RETRIES_MAX, RETRY_TIME_MAX);
        let retry = RetryConfig { backoff, max_retries, retry_timeout };
        let client = ClientOptions::new()
            .with_timeout(REQUEST_TIME_MAX)
            .with_connect_timeout(CONNECT_TIME_MAX);
        let mut builder =
            builder.with_bucket_name(bucket).with_retry(retry).with_client_options(client);
        if let Some(region) = region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = endpoint {
            // Whoever writes http:// means it.
            builder =
                builder.with_allow_http(endpoint.starts_with("http://")).with_endpoint(endpoint);
        }
        let store = builder.build().map_err(|error| TierError::Settings { why: told(&error) })?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("factum-tier")
            .enable_all()
            .build()
            .map_err(|source| TierError::Threads { source })?;
        let (store, location, runtime) = (Arc::new(store), url.to_owned(), Some(runtime));
        Ok(Self { store, prefix, location, runtime })
    }

    fn path(&self, key: &str) -> Path {
        Path::from(format!("{}/{key}", self.prefix))
    }

    /// Waits for a request that runs on the runtime.
    fn wait<T: Send + 'static>(
        &self,
        most: Duration,
        request: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, ColdError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let runtime = self.runtime.as_ref().expect("it is there until this is dropped");
        let task = runtime.spawn(async move { sender.send(request.await) });
        let answer = receiver.recv_timeout(most).map_err(|_| {
            task.abort();
            let why = format!("nothing came within {} s", most.as_secs());
            ColdError::Unavailable { why: why.into() }
        });
        answer?.map_err(cold)
    }

    fn put_whole(&self, path: Path, payload: PutPayload) -> Result<(), ColdError> {
        let store = self.store.clone();
        self.wait(WRITE_TIME_MAX, async move { store.put(&path, payload).await.map(drop) })
    }

    fn put_parts(&self, path: Path, file: &dyn File, len: u64) -> Result<(), ColdError> {
        let store = self.store.clone();
        let begun = self.wait(WRITE_TIME_MAX, async move { store.put_multipart(&path).await });
        let mut upload: Box<dyn MultipartUpload> = begun?;
        for part in parts(len) {
            let sent = read(file, &part).and_then(|bytes| {
                let part = upload.put_part(bytes.into());
                self.wait(WRITE_TIME_MAX, part)
            });
            if let Err(error) = sent {
                // What was sent costs money until it is forgotten; that this fails changes nothing.
                let _ = self.wait(WRITE_TIME_MAX, async move { upload.abort().await });
                return Err(error);
            }
        }
        self.wait(WRITE_TIME_MAX, async move { upload.complete().await.map(drop) })
    }
}

/// The parts of an upload.
fn parts(len: u64) -> impl Iterator<Item = Range<u64>> {
    let count = len.div_ceil(PART_BYTES);
    (0..count).map(move |part| part * PART_BYTES..((part + 1) * PART_BYTES).min(len))
}

fn read(file: &dyn File, range: &Range<u64>) -> Result<Vec<u8>, ColdError> {
    let len = usize::try_from(range.end - range.start).expect("a part fits in memory");
    let mut bytes = vec![0; len];
    file.read_at(&mut bytes, range.start).map_err(|error| {
        let why = format!("the segment cannot be read: {error}");
        ColdError::Refused { why: why.into() }
    })?;
    Ok(bytes)
}

/// What an error of the client means to the engine.
fn cold(error: Error) -> ColdError {
    let why = told(&error).into();
    match error {
        Error::NotFound { .. } => ColdError::Gone,
        Error::PermissionDenied { .. }
        | Error::Unauthenticated { .. }
        | Error::InvalidPath { .. }
        | Error::NotSupported { .. }
        | Error::UnknownConfigurationKey { .. } => ColdError::Refused { why },
        _ => ColdError::Unavailable { why },
    }
}

/// What an error says, on one line, not at endless length.
fn told(error: &Error) -> String {
    const CHARS_MAX: usize = 300;
    let text = error.to_string();
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(CHARS_MAX).collect()
}

impl ColdStore for ObjectTier {
    fn location(&self) -> &str {
        &self.location
    }

    fn put(&self, key: &str, file: &dyn File, len: u64) -> Result<(), ColdError> {
        let path = self.path(key);
        if len <= PART_BYTES {
            return self.put_whole(path, read(file, &(0..len))?.into());
        }
        self.put_parts(path, file, len)
    }

    fn get(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, ColdError> {
        let (store, path) = (self.store.clone(), self.path(key));
        let request = async move { store.get_range(&path, range).await };
        Ok(self.wait(READ_TIME_MAX, request)?.into())
    }

    fn list(&self) -> Result<Vec<(String, u64)>, ColdError> {
        let (store, prefix) = (self.store.clone(), Path::from(self.prefix.clone()));
        let below = prefix.clone();
        let request = async move { store.list(Some(&below)).try_collect::<Vec<_>>().await };
        let all = self.wait(WRITE_TIME_MAX, request)?;
        let named = all.into_iter().map(|object| {
            let whole = object.location.to_string();
            let key = whole.strip_prefix(prefix.as_ref()).unwrap_or(&whole);
            (key.trim_start_matches('/').to_owned(), object.size)
        });
        Ok(named.collect())
    }

    fn delete(&self, key: &str) -> Result<(), ColdError> {
        let (store, path) = (self.store.clone(), self.path(key));
        match self.wait(WRITE_TIME_MAX, async move { store.delete(&path).await }) {
            Err(ColdError::Gone) => Ok(()),
            deleted => deleted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_bytes_once() {
        for len in [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 7] {
            let mut at = 0;
            for part in parts(len) {
                assert_eq!(part.start, at);
                assert!(part.end > at && part.end - part.start <= PART_BYTES);
                at = part.end;
            }
            assert_eq!(at, len);
        }
    }

    #[test]
    fn errors_are_told_on_one_line() {
        let source = format!("a\n  b{}", "c".repeat(1_000)).into();
        let told = told(&Error::Generic { store: "S3", source });
        assert!(told.contains("a bcc") && told.len() <= 300, "{told}");
    }
}
