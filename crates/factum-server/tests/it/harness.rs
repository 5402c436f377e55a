//! A server on a free port, its clients, and short ways to say what tests say often.

use bytes::Bytes;
use factum_core::{
    AnyStore, Append, AppendError, Capabilities, Change, EventStore, Expected, MemoryStore,
    Position, Read, ReadError, Reading, Receipt, Statistics, StreamMetadata, StreamName, Subscribe,
    store::DynBatches,
};
use factum_log::LogStore;
use factum_proto::{
    event_store::client::{
        self as shared, Empty, StreamIdentifier,
        streams::{
            AppendReq, AppendResp, ReadReq, ReadResp, append_req, append_resp,
            read_req::{Options, options as opt},
            read_resp::Content,
            streams_client::StreamsClient,
        },
    },
    factum::v1::store_client::StoreClient,
    umadb::v1::dcb_client::DcbClient,
};
use factum_server::{Config, Server};
use futures_util::StreamExt;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinHandle,
};
use tonic::{Status, Streaming, transport::Channel};

/// The longest that a test waits for something that should happen.
pub(crate) const WAIT: Duration = Duration::from_secs(10);

/// Waits for something, and not for ever.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT, what).await.expect("it should have happened by now")
}

/// Waits until a condition holds, and not for ever.
pub(crate) async fn until<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    soon(async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// A server, and the end of it.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) store: AnyStore,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::with(AnyStore::new(MemoryStore::new()), |_| ()).await
    }

    pub(crate) async fn limited(change: impl FnOnce(&mut Config)) -> Self {
        Self::with(AnyStore::new(MemoryStore::new()), change).await
    }

    pub(crate) async fn with(store: AnyStore, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(([127, 0, 0, 1], 0).into());
        change(&mut config);
        let server = Server::bind(config, store.clone()).await.unwrap();
        Self::serve(server, store)
    }

    /// Over a folder of the engine.
    pub(crate) async fn over(log: LogStore, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(([127, 0, 0, 1], 0).into());
        change(&mut config);
        let store = AnyStore::new(log.clone());
        Self::serve(Server::bind_log(config, log).await.unwrap(), store)
    }

    fn serve(server: Server, store: AnyStore) -> Self {
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        Self { address, store, stop: Some(stop), serving }
    }

    /// Asks the server to stop.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until it has.
    pub(crate) async fn stopped(self) {
        soon(self.serving).await.unwrap();
    }

    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        soon(endpoint.connect()).await.unwrap()
    }

    pub(crate) async fn v1(&self) -> StoreClient<Channel> {
        StoreClient::new(self.channel().await)
    }

    pub(crate) async fn streams(&self) -> StreamsClient<Channel> {
        StreamsClient::new(self.channel().await)
    }

    pub(crate) async fn dcb(&self) -> DcbClient<Channel> {
        DcbClient::new(self.channel().await)
    }
}

/// A memory store whose appends wait for leave.
#[derive(Clone)]
pub(crate) struct Held {
    store: MemoryStore,
    pub(crate) leave: Arc<Semaphore>,
    /// Released by every append that arrives.
    pub(crate) arrived: Arc<Semaphore>,
    /// What appends and changes are answered with instead.
    pub(crate) append_error: Option<AppendError>,
    /// What reads are answered with instead.
    pub(crate) read_error: Option<ReadError>,
    /// How many events each subscription has pulled, in order of subscription.
    pub(crate) pulled: Arc<Mutex<Vec<usize>>>,
    /// How many reads there were.
    pub(crate) reads: Arc<AtomicUsize>,
}

impl Held {
    pub(crate) fn new() -> Self {
        Self {
            store: MemoryStore::new(),
            leave: Arc::new(Semaphore::new(0)),
            arrived: Arc::new(Semaphore::new(0)),
            append_error: None,
            read_error: None,
            pulled: Arc::default(),
            reads: Arc::default(),
        }
    }

    fn append_fails(&self) -> Result<(), AppendError> {
        self.append_error.clone().map_or(Ok(()), Err)
    }

    fn read_fails(&self) -> Result<(), ReadError> {
        self.read_error.clone().map_or(Ok(()), Err)
    }
}

impl EventStore for Held {
    type Batches = DynBatches;

    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn append(&self, append: Append) -> Result<Receipt, AppendError> {
        self.append_fails()?;
        self.arrived.add_permits(1);
        self.leave.acquire().await.unwrap().forget();
        self.store.append(append).await
    }

    async fn read(&self, read: Read) -> Result<Reading<DynBatches>, ReadError> {
        self.read_fails()?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        AnyStore::new(self.store.clone()).read(read).await
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<DynBatches, ReadError> {
        self.read_fails()?;
        let batches = AnyStore::new(self.store.clone()).subscribe(subscribe).await?;
        let (pulled, index) = (self.pulled.clone(), self.pulled.lock().unwrap().len());
        pulled.lock().unwrap().push(0);
        Ok(Box::pin(batches.inspect(move |batch| {
            pulled.lock().unwrap()[index] += batch.as_ref().map_or(0, |batch| batch.events.len());
        })))
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.read_fails()?;
        self.store.head().await
    }

    async fn metadata(&self, stream: &StreamName) -> Result<StreamMetadata, ReadError> {
        self.read_fails()?;
        self.store.metadata(stream).await
    }

    async fn change(
        &self,
        stream: &StreamName,
        change: Change,
        expected: Option<Expected>,
    ) -> Result<Receipt, AppendError> {
        self.append_fails()?;
        self.store.change(stream, change, expected).await
    }

    async fn tracked(&self, source: &str) -> Result<Option<u64>, ReadError> {
        self.read_fails()?;
        self.store.tracked(source).await
    }

    async fn statistics(&self) -> Result<Statistics, ReadError> {
        self.store.statistics().await
    }
}

pub(crate) type Wanted = append_req::options::ExpectedStreamRevision;
pub(crate) const ANY: Wanted = Wanted::Any(Empty {});
pub(crate) const NO_STREAM: Wanted = Wanted::NoStream(Empty {});
pub(crate) const EXISTS: Wanted = Wanted::StreamExists(Empty {});

pub(crate) fn named(stream: &str) -> Option<StreamIdentifier> {
    Some(StreamIdentifier { stream_name: Bytes::copy_from_slice(stream.as_bytes()) })
}

pub(crate) fn text_id(id: u128) -> Option<shared::Uuid> {
    let text = factum_core::Uuid::from_u128(id).to_string();
    Some(shared::Uuid { value: Some(shared::uuid::Value::String(text)) })
}

pub(crate) fn properties(event_type: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("type".into(), event_type.into()),
        ("content-type".into(), "application/json".into()),
    ])
}

/// The first message of an append.
pub(crate) fn options(stream: &str, expected: Wanted) -> AppendReq {
    let options = append_req::Options {
        stream_identifier: named(stream),
        expected_stream_revision: Some(expected),
    };
    AppendReq { content: Some(append_req::Content::Options(options)) }
}

/// A further message of an append.
pub(crate) fn proposed(id: u128, event_type: &str, data: &str) -> AppendReq {
    let message = append_req::ProposedMessage {
        id: text_id(id),
        metadata: properties(event_type),
        custom_metadata: Bytes::new(),
        data: data.to_owned().into(),
    };
    AppendReq { content: Some(append_req::Content::ProposedMessage(message)) }
}

pub(crate) async fn send(
    client: &mut StreamsClient<Channel>,
    requests: Vec<AppendReq>,
) -> Result<AppendResp, Status> {
    let requests = futures_util::stream::iter(requests);
    soon(client.append(requests)).await.map(tonic::Response::into_inner)
}

/// Appends events with these ids; each has the id as its data.
pub(crate) async fn append(
    client: &mut StreamsClient<Channel>,
    stream: &str,
    expected: Wanted,
    ids: impl IntoIterator<Item = u128>,
) -> append_resp::Result {
    let mut requests = vec![options(stream, expected)];
    requests.extend(ids.into_iter().map(|id| proposed(id, "t", &format!("{id}"))));
    send(client, requests).await.unwrap().result.unwrap()
}

/// (Revision, position) of an append that was done.
pub(crate) fn written(result: append_resp::Result) -> (Option<u64>, Option<u64>) {
    use append_resp::success::{CurrentRevisionOption as Revision, PositionOption};
    let append_resp::Result::Success(success) = result else {
        panic!("{result:?} is no success");
    };
    let revision = match success.current_revision_option.unwrap() {
        Revision::CurrentRevision(revision) => Some(revision),
        Revision::NoStream(_) => None,
    };
    let position = match success.position_option.unwrap() {
        PositionOption::Position(position) => {
            assert_eq!(position.commit_position, position.prepare_position);
            Some(position.commit_position)
        }
        PositionOption::NoPosition(_) => None,
    };
    (revision, position)
}

/// A read of a stream; change what is to be different.
pub(crate) fn of_stream(stream: &str, from: opt::stream_options::RevisionOption) -> Options {
    Options {
        stream_option: Some(opt::StreamOption::Stream(opt::StreamOptions {
            stream_identifier: named(stream),
            revision_option: Some(from),
        })),
        ..of_nothing()
    }
}

/// A read of everything.
pub(crate) fn of_all(from: opt::all_options::AllOption) -> Options {
    let all = opt::AllOptions { all_option: Some(from) };
    Options { stream_option: Some(opt::StreamOption::All(all)), ..of_nothing() }
}

fn of_nothing() -> Options {
    Options {
        count_option: Some(opt::CountOption::Count(u64::MAX)),
        filter_option: Some(opt::FilterOption::NoFilter(Empty {})),
        uuid_option: Some(opt::UuidOption {
            content: Some(opt::uuid_option::Content::String(Empty {})),
        }),
        control_option: Some(opt::ControlOption { compatibility: 1 }),
        ..Options::default()
    }
}

pub(crate) const START: opt::stream_options::RevisionOption =
    opt::stream_options::RevisionOption::Start(Empty {});
pub(crate) const END: opt::stream_options::RevisionOption =
    opt::stream_options::RevisionOption::End(Empty {});
pub(crate) const ALL_START: opt::all_options::AllOption =
    opt::all_options::AllOption::Start(Empty {});
pub(crate) const ALL_END: opt::all_options::AllOption = opt::all_options::AllOption::End(Empty {});

pub(crate) fn at_position(position: u64) -> opt::all_options::AllOption {
    opt::all_options::AllOption::Position(opt::Position {
        commit_position: position,
        prepare_position: position,
    })
}

pub(crate) fn subscribing(options: Options) -> Options {
    let subscription = opt::CountOption::Subscription(opt::SubscriptionOptions {});
    Options { count_option: Some(subscription), ..options }
}

pub(crate) fn filtered(
    options: Options,
    filter: opt::filter_options::Filter,
    window: u32,
) -> Options {
    let filter = opt::FilterOptions {
        filter: Some(filter),
        window: Some(opt::filter_options::Window::Max(window)),
        checkpoint_interval_multiplier: 1,
    };
    Options { filter_option: Some(opt::FilterOption::Filter(filter)), ..options }
}

pub(crate) fn regex(regex: &str) -> opt::filter_options::Expression {
    opt::filter_options::Expression { regex: regex.into(), prefix: Vec::new() }
}

pub(crate) fn prefixes(prefix: &[&str]) -> opt::filter_options::Expression {
    let prefix = prefix.iter().map(|prefix| (*prefix).into()).collect();
    opt::filter_options::Expression { regex: String::new(), prefix }
}

/// All answers of a read that ends.
pub(crate) async fn read(
    client: &mut StreamsClient<Channel>,
    options: Options,
) -> Result<Vec<Content>, Status> {
    let request = ReadReq { options: Some(options) };
    let mut responses = soon(client.read(request)).await?.into_inner();
    let mut contents = Vec::new();
    while let Some(response) = soon(responses.message()).await? {
        contents.push(response.content.unwrap());
    }
    Ok(contents)
}

/// The data of the events among answers.
pub(crate) fn data(contents: &[Content]) -> Vec<String> {
    let event = |content: &Content| match content {
        Content::Event(read) => {
            Some(String::from_utf8(read.event.as_ref()?.data.to_vec()).unwrap())
        }
        _ => None,
    };
    contents.iter().filter_map(event).collect()
}

pub(crate) async fn follow(
    client: &mut StreamsClient<Channel>,
    options: Options,
) -> Streaming<ReadResp> {
    let request = ReadReq { options: Some(subscribing(options)) };
    let mut responses = soon(client.read(request)).await.unwrap().into_inner();
    assert!(matches!(next(&mut responses).await, Content::Confirmation(told)
            if !told.subscription_id.is_empty()));
    responses
}

/// The next answer of a subscription.
pub(crate) async fn next(responses: &mut Streaming<ReadResp>) -> Content {
    soon(responses.message()).await.unwrap().unwrap().content.unwrap()
}

/// The next answer must be this event.
pub(crate) async fn next_data(responses: &mut Streaming<ReadResp>) -> String {
    let content = next(responses).await;
    data(std::slice::from_ref(&content)).pop().unwrap_or_else(|| panic!("{content:?}"))
}
