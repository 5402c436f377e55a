//! `factum.v1.Copies`: the bytes of a server's store, for backups, replicas and verifying.
//!
//! The messages are the protocol's own: what they mean is the engine's matter, and this crate does
//! not know the engine.

use crate::{
    address::Address,
    connect::{self, ConnectError, explain},
};
use factum_proto::factum::v1::copies_client;
pub use factum_proto::factum::v1::{
    InventoryRequest, InventoryResponse, Newest, ReadSegmentRequest, Segment, VerifyFinding,
    VerifyProgress, VerifyReport, VerifyRequest, verify_response,
};
use std::{fmt, sync::Arc};
use tonic::{Code, Response, Status, Streaming, transport::Channel};

/// Inventories of a store with very many segments are this large at most, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Why a server did not give bytes of its store.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum CopyError {
    /// The segment was rewritten, or is gone. Ask for an inventory.
    #[error("{why}")]
    Replaced {
        /// As the server said.
        why: String,
    },
    /// Too much at once, or the server is not there. Try again after a pause.
    #[error("{authority} does not answer: {why}")]
    Unavailable {
        /// Host and port.
        authority: String,
        /// What it said, or the system.
        why: String,
    },
    /// The store of the server is damaged. Verify it.
    #[error("the store at {authority} is damaged: {why}")]
    Damaged {
        /// Host and port.
        authority: String,
        /// File and offset.
        why: String,
    },
    /// The server does not give copies. Another release, or another store, may.
    #[error("{authority} gives no copies of its store: {why}")]
    Refused {
        /// Host and port.
        authority: String,
        /// What it said.
        why: String,
    },
}

/// Gives bytes of the store of a Factum server. Clones share one connection.
#[derive(Clone)]
pub struct CopiesClient {
    client: copies_client::CopiesClient<Channel>,
    authority: Arc<str>,
}

impl fmt::Debug for CopiesClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopiesClient").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// What a verification says on its way.
pub type Verification = Streaming<factum_proto::factum::v1::VerifyResponse>;

impl CopiesClient {
    /// A client of `factum://host[:port]`. It connects with the first call, and again when it has
    /// to. Call it inside of a `tokio` runtime.
    ///
    /// # Errors
    /// [`ConnectError::Address`] where the URL is wrong.
    pub fn new(url: &str) -> Result<Self, ConnectError> {
        let address = Address::factum(url)?;
        let client = copies_client::CopiesClient::new(connect::channel(&address)?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self { client, authority: address.authority().into() })
    }

    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What the store holds.
    pub async fn inventory(
        &self,
        request: InventoryRequest,
    ) -> Result<InventoryResponse, CopyError> {
        let answer = connect::once_more(|| {
            let mut client = self.client.clone();
            async move { client.inventory(request).await }
        });
        answer.await.map(Response::into_inner).map_err(|status| self.error(&status))
    }

    /// Bytes of a segment.
    pub async fn read_segment(
        &self,
        request: ReadSegmentRequest,
    ) -> Result<bytes::Bytes, CopyError> {
        let answer = connect::once_more(|| {
            let mut client = self.client.clone();
            async move { client.read_segment(request).await }
        });
        let answer = answer.await.map_err(|status| self.error(&status))?;
        Ok(answer.into_inner().data)
    }

    /// Begins to verify the store.
    pub async fn verify(&self) -> Result<Verification, CopyError> {
        let mut client = self.client.clone();
        let answer = client.verify(VerifyRequest {}).await;
        answer.map(Response::into_inner).map_err(|status| self.error(&status))
    }

    /// What a status means.
    #[must_use]
    pub fn error(&self, status: &Status) -> CopyError {
        let (authority, why) = (self.authority.to_string(), explain(status));
        match status.code() {
            Code::Aborted => CopyError::Replaced { why },
            Code::DataLoss => CopyError::Damaged { authority, why },
            Code::Unimplemented
            | Code::InvalidArgument
            | Code::Unauthenticated
            | Code::PermissionDenied => CopyError::Refused { authority, why },
            _ => CopyError::Unavailable { authority, why },
        }
    }
}
