//! NATS: a stream and its message are there after `kill -9`, of one node and of one in three.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use factum_services::nats::{Cluster, Nats, Version};

/// Longer than a stream needs to find a new leader, on any machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);
/// While there is no leader a request is dropped without a word, so it is made again.
const AGAIN: Duration = Duration::from_secs(3);

/// The answer to a request, which may be made several times.
fn ask(url: &str, subject: &str, body: &str) -> String {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask_once(url, subject, body) {
            return answer;
        }
        assert!(began.elapsed() < ANSWER_LIMIT, "nobody answers {subject}");
    }
}

/// The answer to one request, by the text protocol of NATS, if it comes. What is published twice is
/// known by its id.
fn ask_once(url: &str, subject: &str, body: &str) -> Option<String> {
    let stream = TcpStream::connect(url.strip_prefix("nats://").unwrap()).unwrap();
    stream.set_read_timeout(Some(AGAIN)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let id = "NATS/1.0\r\nNats-Msg-Id: first\r\n\r\n";
    let (header, total) = (id.len(), id.len() + body.len());
    write!(writer, "CONNECT {{\"verbose\":false,\"headers\":true}}\r\n").unwrap();
    write!(writer, "SUB answer 1\r\n").unwrap();
    write!(writer, "HPUB {subject} answer {header} {total}\r\n{id}{body}\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.by_ref().find(|line| line.starts_with("MSG "))?;
    lines.next()
}

fn create_stream(url: &str, replicas: usize) {
    let config =
        format!("{{\"name\":\"orders\",\"subjects\":[\"orders.>\"],\"num_replicas\":{replicas}}}");
    let answer = ask(url, "$JS.API.STREAM.CREATE.orders", &config);
    assert!(answer.contains("\"created\""), "{answer}");
    let answer = ask(url, "orders.placed", "an order");
    assert!(answer.contains("\"seq\":1"), "{answer}");
}

fn check_stream(url: &str) {
    let answer = ask(url, "$JS.API.STREAM.INFO.orders", "");
    assert!(answer.contains("\"messages\":1"), "{answer}");
}

fn check_kill_9(mut nats: Nats) {
    let url = nats.url();
    create_stream(&url, 1);
    nats.kill9().unwrap();
    TcpStream::connect(url.strip_prefix("nats://").unwrap()).unwrap_err();
    nats.restart().unwrap();
    assert_eq!(nats.url(), url);
    check_stream(&url);
}

#[test]
fn streams_survive_kill_9() {
    check_kill_9(Nats::start().unwrap());
}

#[test]
fn streams_survive_kill_9_in_the_version_of_debian() {
    check_kill_9(Nats::start_version(Version::Debian).unwrap());
}

#[test]
fn a_replicated_stream_goes_on_without_a_node_and_the_node_comes_back() {
    let mut cluster = Cluster::start().unwrap();
    let url = cluster.url();
    let urls: Vec<&str> = url.split(',').collect();
    create_stream(urls.first().unwrap(), 3);
    let first = cluster.names().next().unwrap().to_owned();
    cluster.kill9(&first).unwrap();
    cluster.wait_for(2).unwrap();
    check_stream(urls.last().unwrap());
    cluster.restart(&first).unwrap();
    cluster.wait_for(3).unwrap();
    check_stream(urls.first().unwrap());
}
