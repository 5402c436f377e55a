//! Concurrent histories through the real server: clients on connections of their own, some of which
//! do not wait for the answer; checked as those of the simulation are. At the end the server is
//! killed, and what it acknowledged must be in its folder.

use crate::{work, worker};
use factum_core::AnyStore;
use factum_sim::{
    check,
    dice::Dice,
    linear::{Book, client::Client, order, search},
    rows::{Find, Meter},
};
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};
use tokio::runtime::Runtime;

fn binary() -> Option<PathBuf> {
    let given = std::env::var_os("FACTUM_BIN").map(PathBuf::from);
    let beside = || worker::program().with_file_name("factum");
    Some(given.unwrap_or_else(beside)).filter(|path| path.is_file())
}

pub(super) fn is_missing() -> Option<String> {
    let cure = "no factum to run: build it, or say where it is by FACTUM_BIN";
    binary().is_none().then(|| cure.to_owned())
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("threads can be started"))
}

/// A server, which ends when it is let go.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(data: &Path) -> Result<Self, Find> {
        let mut command = Command::new(binary().ok_or("no factum to run")?);
        command.args(["dev", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let url = out.lines().map_while(Result::ok).find_map(|line| {
            let from = line.find("factum://")?;
            let is_part = |one: char| one.is_alphanumeric() || ":/.-[]".contains(one);
            Some(line[from..].chars().take_while(|one| is_part(*one)).collect::<String>())
        });
        Ok(Self { url: url.ok_or("the server said no URL")?, child })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn case(seed: u64, meter: &mut Meter) -> Result<(), Find> {
    meter.done += 1;
    let mut dice = Dice::of(seed, 3);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let server = Server::start(folder.path())?;
    let clients = 2 + dice.below(4);
    let calls = if dice.one_in(3) { 2 } else { 4 + dice.below(30) };
    let lost_one_in = *dice.pick(&[0, 4, 12]);
    let book = Book::default();
    let worked: Vec<Result<(), Find>> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|number| {
                let (server, book) = (&server, &book);
                scope.spawn(move || {
                    let runtime = runtime();
                    let _inside = runtime.enter();
                    let store: AnyStore = runtime
                        .block_on(factum::open(&server.url))
                        .map_err(|error| format!("connecting: {error}"))?;
                    let mut client = Client::new(&store, book, Dice::of(seed, number), number);
                    client.lost_one_in = lost_one_in;
                    client.work(calls)
                })
            })
            .collect();
        clients.into_iter().map(|one| one.join().expect("a client panicked")).collect()
    });
    worked.into_iter().collect::<Result<Vec<()>, Find>>()?;
    drop(server);
    let calls = book.close();
    let (_writer, reader) = factum_log::open(folder.path(), work::options())
        .map_err(|error| format!("opening: {error}"))?;
    let events = check::coherent(&reader, &mut dice, 3)?;
    if search::is_linearizable(&calls) == Some(false) {
        return Err(format!("no order of the calls explains the answers: {calls:?}"));
    }
    order::check(&calls, &events)
}
