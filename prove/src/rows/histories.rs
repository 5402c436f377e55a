//! Concurrent histories through the real server: clients on connections of their own, some of which
//! do not wait for the answer; checked as those of the simulation are. At the end the server is
//! killed, and what it acknowledged must be in its folder.

use crate::{
    server::{Server, runtime},
    work,
};
use factum_core::AnyStore;
use factum_sim::{
    check,
    dice::Dice,
    linear::{Book, client::Client, order, search},
    rows::{Find, Meter},
};

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
                    let store: AnyStore = runtime.block_on(server.client())?;
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
