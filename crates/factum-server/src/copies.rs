//! `factum.v1.Copies`: the bytes of a store that is a folder of the engine, and verifying them.
//!
//! Apart from `v1`, which knows no engine. Everything here may wait for the disk, so it runs on
//! threads that may; how much of it at once has limits of its own.

use crate::{
    context::Context,
    grpc::{Responses, Subscription},
    v1,
};
use factum_log::{
    LogStore, OpenError, Reader,
    copy::{Held, Inventory, Length, PIECE_BYTES_MAX, Source, SourceError},
    error::Fault,
    verify::{Finding, Progress, Report},
};
use factum_proto::factum::v1::{
    self as wire, copies_server::Copies, verify_response::Content as Verified,
};
use futures_util::stream;
use std::{ops::Range, time::Duration};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

/// How long a call waits for the log to grow.
const WAIT_TIME_MAX: Duration = Duration::from_secs(10);
/// Reports of progress that wait for a slow client; then the verification does.
const PROGRESS_MAX: usize = 4;
/// Bytes between two reports of progress.
const PROGRESS_BYTES: u64 = 4 << 20;

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    context: Context,
}

impl Service {
    pub(crate) fn new(context: Context) -> Self {
        Self { context }
    }

    fn reader(&self) -> Result<Reader, Status> {
        let none = || Status::unimplemented("the store of this server is no folder of the engine");
        self.context.log.as_ref().map(LogStore::reader).ok_or_else(none)
    }
}

/// Has a thread do what may wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|error| Status::internal(error.to_string()))?
}

fn failed(error: SourceError) -> Status {
    let why = error.to_string();
    match error {
        SourceError::Replaced { .. } => Status::aborted(why),
        SourceError::Fault(Fault::Damaged { .. }) => Status::data_loss(why),
        _ => Status::unavailable(why),
    }
}

#[tonic::async_trait]
impl Copies for Service {
    type VerifyStream = Responses<wire::VerifyResponse>;

    async fn inventory(
        &self,
        request: Request<wire::InventoryRequest>,
    ) -> Result<Response<wire::InventoryResponse>, Status> {
        let reader = self.reader()?;
        let wire::InventoryRequest { from_base, unlike } = request.into_inner();
        if let Some(wire::Newest { base, end }) = unlike {
            let grows = tokio::time::timeout(WAIT_TIME_MAX, reader.grows(Length { base, end }));
            tokio::select! {
                _ = grows => {}
                () = self.context.drain.cancelled() => return Err(crate::grpc::draining()),
            }
        }
        let inventory = reader.inventory().map_err(failed)?;
        Ok(Response::new(answer(&inventory, from_base)))
    }

    async fn read_segment(
        &self,
        request: Request<wire::ReadSegmentRequest>,
    ) -> Result<Response<wire::ReadSegmentResponse>, Status> {
        let reader = self.reader()?;
        let _permit = self.context.gate.copies.take(1).ok_or_else(v1::busy)?;
        let wire::ReadSegmentRequest { base, seed, offset, length } = request.into_inner();
        let held = Held { base, seed, origin: 0, end: 0, is_sealed: false };
        let range = piece(offset, length);
        let data = blocking(move || reader.piece(&held, range).map_err(failed)).await?;
        Ok(Response::new(wire::ReadSegmentResponse { data: data.into() }))
    }

    async fn verify(
        &self,
        _: Request<wire::VerifyRequest>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        let reader = self.reader()?;
        let permit = self.context.gate.verifications.take(1);
        let busy = || Status::resource_exhausted("the store is being verified already");
        let permit = permit.ok_or_else(busy)?;
        let (to_client, from_thread) = mpsc::channel(PROGRESS_MAX);
        tokio::task::spawn_blocking(move || {
            let last = verified(&reader, &to_client);
            // Whoever asked may be gone: then nobody wants to know.
            let _ = to_client.blocking_send(last);
            drop(permit);
        });
        let next = |mut from: mpsc::Receiver<_>| async move { Some((from.recv().await?, from)) };
        let answers = Box::pin(stream::unfold(from_thread, next));
        let answers = Subscription::new(&self.context, crate::grpc::Protocol::V1, answers)?;
        Ok(Response::new(Box::pin(answers)))
    }
}

fn piece(offset: u64, length: u64) -> Range<u64> {
    offset..offset.saturating_add(length.min(PIECE_BYTES_MAX))
}

type Answer = Result<wire::VerifyResponse, Status>;

fn verified(reader: &Reader, to: &mpsc::Sender<Answer>) -> Answer {
    let mut next = 0;
    let mut watch = |Progress { bytes, bytes_total }: Progress| {
        if bytes < next {
            return !to.is_closed();
        }
        next = bytes + PROGRESS_BYTES;
        let progress = wire::VerifyProgress { bytes, bytes_total };
        let content = Some(Verified::Progress(progress));
        to.blocking_send(Ok(wire::VerifyResponse { content })).is_ok()
    };
    let report = reader
        .verify(&mut watch)
        .map_err(|error: OpenError| Status::unavailable(error.to_string()))?;
    Ok(wire::VerifyResponse { content: Some(Verified::Report(told(&report))) })
}

fn answer(inventory: &Inventory, from_base: u64) -> wire::InventoryResponse {
    let wanted = inventory.segments.iter().filter(|held| held.base >= from_base);
    let segment = |held: &Held| wire::Segment {
        base: held.base,
        seed: held.seed,
        origin: held.origin,
        end: held.end,
        sealed: held.is_sealed,
    };
    wire::InventoryResponse {
        store: inventory.store.as_bytes().to_vec().into(),
        head: inventory.head.0,
        segments: wanted.map(segment).collect(),
    }
}

fn told(report: &Report) -> wire::VerifyReport {
    wire::VerifyReport {
        store: report.store.map(|store| store.as_bytes().to_vec().into()).unwrap_or_default(),
        head: report.head.0,
        segments: report.segments,
        events: report.events,
        bytes: report.bytes,
        damaged: report.is_damaged(),
        findings: report.findings.iter().map(finding).collect(),
        findings_left_out: report.findings_left_out,
        streams_not_followed: report.streams_not_followed,
    }
}

fn finding(finding: &Finding) -> wire::VerifyFinding {
    let file = finding.file.file_name().unwrap_or_default();
    let lost = finding.lost.as_ref().map_or((0, 0), |lost| (*lost.start(), *lost.end()));
    wire::VerifyFinding {
        severity: finding.severity.name().to_owned(),
        file: file.to_string_lossy().into_owned(),
        offset: finding.offset,
        what: finding.defect.to_string(),
        lost_from: lost.0,
        lost_to: lost.1,
    }
}
