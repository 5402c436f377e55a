//! The main job on real input: two event logs in, facts out, live, and nothing lost or doubled when
//! the server or the importer is killed in the middle.

use super::{
    logs::{FINES, HELPDESK, Logs},
    support::{Place, Server, eventually, lines, member, wait},
};
use factum::blocking;
use std::{
    collections::{BTreeMap, HashSet},
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

#[test]
fn both_logs_go_into_a_server_and_survive_its_death() {
    let Some(logs) = Logs::find("both_logs_go_into_a_server_and_survive_its_death") else {
        return;
    };
    let mut place = Place::new();
    let server = place.serve();
    assert_eq!(place.run(&logs.import_fines()).ok(), "390 new, 0 already there\n");
    history(&place);
    tail(&place);

    let importing = begin(&place, &logs);
    eventually("a part of the events is in", || (head(&server) > 1_500).then_some(()));
    server.kill_9();
    let stopped = importing.wait_with_output().unwrap();
    assert_eq!(stopped.status.code(), Some(5), "{stopped:?}");
    let said = String::from_utf8(stopped.stderr).unwrap();
    assert!(said.contains("nothing is written twice"), "{said}");

    let server = place.serve();
    let there = usize::try_from(head(&server)).unwrap() - FINES - 2;
    assert!(there > 1_000 && there < HELPDESK, "not in the middle: {there}");
    let rest = format!("{} new, {there} already there\n", HELPDESK - there);
    assert_eq!(place.run(&logs.import_helpdesk()).ok(), rest);
    twice(&place, &logs);

    // The two payments of `tail` apart, exactly what the files have.
    let mut expected = logs.fine_types();
    *expected.get_mut("Payment").unwrap() += 2;
    whole(&place, &logs, expected);
    assert_eq!(server.stop("TERM").0, 0);
}

#[test]
fn both_logs_go_into_a_folder_and_survive_the_importers_death() {
    let Some(logs) = Logs::find("both_logs_go_into_a_folder_and_survive_the_importers_death")
    else {
        return;
    };
    let place = Place::new();
    assert_eq!(place.run(&logs.import_fines()).ok(), "390 new, 0 already there\n");

    let mut importing = begin(&place, &logs);
    let log = place.path("data/00000000000000000001.log");
    eventually("a part of the events is in", || {
        let bytes = std::fs::read(&log).unwrap();
        let written = bytes.iter().rposition(|byte| *byte != 0)?;
        (written > 600_000).then_some(())
    });
    importing.kill().unwrap();
    assert_eq!(wait(&mut importing), -1, "it was killed, and had not ended before");

    let again = place.run(&logs.import_helpdesk()).ok();
    let (new, there) = again.trim().split_once(" new, ").unwrap();
    let there = there.strip_suffix(" already there").unwrap().parse::<usize>().unwrap();
    assert_eq!(new.parse::<usize>().unwrap() + there, HELPDESK);
    assert!(there > 0 && there < HELPDESK, "not in the middle: {again}");
    twice(&place, &logs);
    whole(&place, &logs, logs.fine_types());
}

/// Importing, an event an append, so that it takes long enough to be caught.
fn begin(place: &Place, logs: &Logs) -> Child {
    let mut command = place.command(&logs.import_helpdesk());
    command.args(["--batch", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn head(server: &Server) -> u64 {
    blocking::open(&server.url).unwrap().head().unwrap().0
}

fn history(place: &Place) {
    let events = place.events(&["fine-N77802"]);
    assert_eq!(member(&events, "type"), ["Create Fine", "Send Fine"]);
    assert_eq!(member(&events, "occurredAt"), ["2005-03-22T23:00:00Z", "2005-07-21T22:00:00Z"]);
    assert_eq!(events[0]["data"]["amount"].to_string(), "35.0");
    assert_eq!(events[0]["data"]["vehicleClass"], "A");
    let owed = place.events(&["fine-N77802", "--occurred-as-of", "2005-05-01T00:00:00Z"]);
    assert_eq!(member(&owed, "type"), ["Create Fine"]);
}

/// Follows a fine while it is paid.
fn tail(place: &Place) {
    let mut command = place.command(&["tail", "fine-N77802", "--from", "start", "--json"]);
    let mut tail = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || lines(&out.next().unwrap().unwrap()).remove(0);
    assert_eq!(next()["type"], "Create Fine");
    assert_eq!(next()["type"], "Send Fine");
    for (revision, amount) in [(2, "{\"paymentAmount\":20}"), (3, "{\"paymentAmount\":26}")] {
        place.append("fine-N77802", "Payment", amount);
        let event = next();
        assert_eq!(
            (event["revision"].as_u64(), &event["type"]),
            (Some(revision), &"Payment".into())
        );
    }
    super::support::kill(tail.id(), "INT");
    assert_eq!(wait(&mut tail), 0);
}

/// A second import adds nothing.
fn twice(place: &Place, logs: &Logs) {
    assert_eq!(place.run(&logs.import_fines()).ok(), "0 new, 390 already there\n");
    assert_eq!(place.run(&logs.import_helpdesk()).ok(), "0 new, 21348 already there\n");
}

/// Exactly what the files have: no more, no less, each stream without a gap.
fn whole(place: &Place, logs: &Logs, fines: BTreeMap<String, usize>) {
    let mut expected = logs.ticket_types();
    assert_eq!(expected.values().sum::<usize>(), HELPDESK);
    fines.into_iter().for_each(|(name, count)| *expected.entry(name).or_default() += count);
    assert_eq!(place.counts(), expected);
    let events = place.events(&["--all"]);
    let mut next: BTreeMap<&str, u64> = BTreeMap::new();
    let mut ids = HashSet::new();
    for (event, position) in events.iter().zip(1..) {
        assert_eq!(event["position"].as_u64(), Some(position));
        let revision = next.entry(event["stream"].as_str().unwrap()).or_default();
        assert_eq!(event["revision"].as_u64(), Some(*revision));
        *revision += 1;
        assert!(ids.insert(event["id"].as_str().unwrap()), "{event}");
    }
}
