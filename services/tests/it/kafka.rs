//! Tansu: it answers again after `kill -9` (and is empty: it keeps its records in memory).

use std::net::TcpStream;

use factum_services::kafka::Tansu;

#[test]
fn it_answers_again_after_kill_9() {
    let mut tansu = Tansu::start().unwrap();
    let url = tansu.url();
    TcpStream::connect(&url).unwrap();
    tansu.kill9().unwrap();
    TcpStream::connect(&url).unwrap_err();
    tansu.restart().unwrap();
    assert_eq!(tansu.url(), url);
    TcpStream::connect(&url).unwrap();
}
