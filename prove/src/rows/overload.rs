//! Four times what a server can take: what it can take it still does, the rest is refused with a
//! status, memory stays, and afterwards all is as before.
//!
//! What limits the server must not be the processors, which the clients here share with it: its
//! disk is made slow (each sync takes as long as on a slow network disk) and its queue short, by
//! its own settings. Clients of both protocols offer appends at a fixed rate, whatever comes back;
//! each must be answered, done or refused, within a limit.

use crate::{
    server::{Server, program, runtime, serving, told},
    strace,
};
use factum_core::{
    AnyStore, Append, AppendError, EventData, EventStore, EventType, StreamName, Uuid,
};
use factum_sim::{
    program::is_for_ledger,
    rows::{Find, Meter},
};
use std::{
    path::Path,
    process::Command,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// How long a sync takes.
const SYNC_US: u64 = 20_000;
/// Appends that may wait: with those on the disk twice as many are under way.
const QUEUE_MAX: u64 = 32;
/// Bytes of appends that may be under way: what is not given back is soon missing.
const APPEND_BYTES_MAX: u64 = 1 << 20;
const BYTES: usize = 1_000;
/// Connections of each protocol.
const CONNECTIONS: usize = 4;
const TIMES_OFFERED: f64 = 4.0;
/// Of the peak.
const GOODPUT_MIN: f64 = 0.8;
const PEAK_TIME: Duration = Duration::from_secs(2);
const TIME: Duration = Duration::from_secs(3);
const TIME_RELEASE: Duration = Duration::from_secs(20);
/// Who offers looks so often how many are due.
const TICK: Duration = Duration::from_millis(5);
const ANSWER_MAX: Duration = Duration::from_secs(5);
const RECOVERY_MAX: Duration = Duration::from_secs(5);
/// Appends in a row that are as fast as they were: then it has recovered.
const CALM: u32 = 10;
const CALM_ANSWER_MAX: Duration = Duration::from_millis(500);
/// How much more memory it may take than at its peak.
const MEMORY_MAX: u64 = 64 << 20;

pub(super) fn is_missing() -> Option<String> {
    crate::server::is_opaque().or_else(strace::is_missing)
}

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let server = Server::run(slow(folder.path())?)?;
    let time = if is_for_ledger() { TIME_RELEASE } else { TIME };
    runtime().block_on(async {
        let load = Load::connect(&server, seed).await?;
        let peak = load.peak().await?;
        let before = server.size()?.memory_bytes;
        let offered = load.offer(peak * TIMES_OFFERED, time, &server).await?;
        if offered.asked < (peak * 3.0 * time.as_secs_f64()) as u64 {
            // This machine was too busy to offer so much: nothing is known.
            return Ok(());
        }
        meter.done += time.as_secs();
        offered.judge(peak, before)?;
        load.recovers().await
    })
}

/// A server whose disk is slow.
fn slow(folder: &Path) -> Result<Command, Find> {
    let arguments = serving(
        folder,
        &format!("[limits]\nqueue_jobs_max = {QUEUE_MAX}\nappend_bytes_max = {APPEND_BYTES_MAX}\n"),
    )?;
    Ok(strace::aside(&format!("fdatasync,fsync:delay_enter={SYNC_US}"), &program()?, &arguments))
}

/// Clients of both protocols.
struct Load {
    clients: Vec<AnyStore>,
    seed: u64,
    count: Arc<AtomicU64>,
}

/// The two kinds of clients, which take turns.
const PROTOCOLS: [&str; 2] = ["factum.v1", "kurrentdb"];

/// What came of what was offered.
#[derive(Debug, Default)]
struct Counts {
    done: AtomicU64,
    refused: [AtomicU64; PROTOCOLS.len()],
    answered: AtomicU64,
    find: OnceLock<Find>,
}

impl Counts {
    fn take_in(&self, number: u64, answer: Result<bool, Find>) {
        match answer {
            Ok(true) => drop(self.done.fetch_add(1, Ordering::Relaxed)),
            Ok(false) => {
                let protocol = number as usize % PROTOCOLS.len();
                self.refused[protocol].fetch_add(1, Ordering::Relaxed);
            }
            // The first is enough.
            Err(find) => drop(self.find.set(find)),
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Offered {
    asked: u64,
    done: u64,
    refused: [u64; PROTOCOLS.len()],
    time: Duration,
    memory_bytes: u64,
}

impl Load {
    async fn connect(server: &Server, seed: u64) -> Result<Self, Find> {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(server.client().await?);
            let other = factum::open(&server.kurrentdb()).await;
            clients.push(other.map_err(|error| format!("connecting: {error}"))?);
        }
        Ok(Self { clients, seed, count: Arc::default() })
    }

    /// One append, by a client of this number. Not answered in time is a find.
    fn append(&self, number: u64) -> impl Future<Output = Result<bool, Find>> + use<> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let id = Uuid::from_u128(u128::from(self.seed) << 64 | u128::from(count + 1));
        let event = EventData::new(id, EventType::new("t").unwrap(), vec![b'x'; BYTES]);
        let append = Append::to(StreamName::new(&format!("s-{}", count % 50)).unwrap(), [event]);
        let client = self.clients[number as usize % self.clients.len()].clone();
        async move {
            match timeout(ANSWER_MAX, client.append(append)).await {
                Ok(Ok(_)) => Ok(true),
                Ok(Err(AppendError::Overloaded)) => Ok(false),
                Ok(Err(error)) => Err(format!("refused as if it were no overload: {error:?}")),
                Err(_) => Err(format!("neither done nor refused in {ANSWER_MAX:?}")),
            }
        }
    }

    /// Appends a second at most: by as many clients as it has room for, who come back at once.
    async fn peak(&self) -> Result<f64, Find> {
        let until = Instant::now() + PEAK_TIME;
        let mut workers = Vec::new();
        for number in 0..QUEUE_MAX * 2 {
            let load =
                Self { clients: self.clients.clone(), seed: self.seed, count: self.count.clone() };
            workers.push(tokio::spawn(async move {
                let mut done = 0_u64;
                while Instant::now() < until {
                    match load.append(number).await? {
                        true => done += 1,
                        false => sleep(Duration::from_millis(1)).await,
                    }
                }
                Ok::<_, Find>(done)
            }));
        }
        let mut done = 0;
        for worker in workers {
            done += worker.await.expect("a client panicked")?;
        }
        Ok(done as f64 / PEAK_TIME.as_secs_f64())
    }

    /// Offers so many a second, whatever becomes of them.
    async fn offer(&self, rate: f64, time: Duration, server: &Server) -> Result<Offered, Find> {
        let counts = Arc::new(Counts::default());
        let began = Instant::now();
        let mut offered = Offered { time, ..Offered::default() };
        while began.elapsed() < time {
            let due = (began.elapsed().as_secs_f64() * rate) as u64;
            while offered.asked < due {
                let asked = self.append(offered.asked);
                let (counts, number) = (counts.clone(), offered.asked);
                tokio::spawn(async move { counts.take_in(number, asked.await) });
                offered.asked += 1;
            }
            offered.memory_bytes = offered.memory_bytes.max(server.size()?.memory_bytes);
            sleep(TICK).await;
        }
        // What is done later is not what it does under load.
        offered.done = counts.done.load(Ordering::Relaxed);
        let ended = Instant::now();
        while counts.answered.load(Ordering::Relaxed) < offered.asked {
            if ended.elapsed() > ANSWER_MAX + Duration::from_secs(1) {
                return Err("not every append is answered".into());
            }
            sleep(TICK).await;
        }
        offered.refused = counts.refused.each_ref().map(|count| count.load(Ordering::Relaxed));
        counts.find.get().map_or(Ok(offered), |find| Err(find.clone()))
    }

    /// Afterwards it is as fast as before, and nothing that was reserved is missing.
    async fn recovers(&self) -> Result<(), Find> {
        let ended = Instant::now();
        let mut calm = 0;
        while calm < CALM {
            if ended.elapsed() > RECOVERY_MAX {
                return Err(format!("not as before within {RECOVERY_MAX:?}"));
            }
            let began = Instant::now();
            let is_done = self.append(calm.into()).await?;
            calm = if is_done && began.elapsed() < CALM_ANSWER_MAX { calm + 1 } else { 0 };
        }
        for name in ["server_append_bytes", "queued_appends", "queued_bytes"] {
            let left = told(&self.clients[0], name).await?;
            if left != 0.0 {
                return Err(format!("{name} is {left} when nothing is under way"));
            }
        }
        Ok(())
    }
}

impl Offered {
    fn judge(&self, peak: f64, memory_before: u64) -> Result<(), Find> {
        let goodput = self.done as f64 / self.time.as_secs_f64();
        println!("  overload: {goodput:.0} a second of {peak:.0}, {self:?}");
        if goodput < peak * GOODPUT_MIN {
            return Err(format!("{goodput:.0} a second are done, of {peak:.0} without overload"));
        }
        // Three quarters of what each is asked are too much.
        for (protocol, refused) in PROTOCOLS.iter().zip(self.refused) {
            if refused < self.asked / PROTOCOLS.len() as u64 / 2 {
                return Err(format!("{protocol}: not refused but queued: {self:?}"));
            }
        }
        if self.memory_bytes > memory_before + MEMORY_MAX {
            return Err(format!("{} bytes of memory, {memory_before} before", self.memory_bytes));
        }
        Ok(())
    }
}
