//! moto, an emulator of S3: from `FACTUM_MOTO`, from the path, or installed from PyPI into a folder
//! beside the tests; a process for each test, on a port of its own. Where it cannot be had, a test
//! says that it was skipped, and why.

use factum_tier::{Credentials, ObjectTier};
use std::{
    fs::OpenOptions,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// The release that is installed.
const MOTO: &str = "moto[server]==5.2.5";
/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// An emulator with one bucket; killed when it goes.
pub struct Emulator {
    child: Child,
    port: u16,
}

impl Emulator {
    /// Starts it; `None`, said to be skipped, where it cannot be had.
    pub fn start(test: &str) -> Option<Self> {
        static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let program = match PROGRAM.get_or_init(program) {
            Ok(program) => program,
            Err(why) => {
                skipped(test, why);
                return None;
            }
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let emulator = Self { child, port };
        let began = Instant::now();
        while !emulator.put_bucket().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            assert!(began.elapsed() < PATIENCE, "the emulator does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(emulator)
    }

    fn put_bucket(&self) -> std::io::Result<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
        socket.write_all(
            b"PUT /segments HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        )?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The bucket, below a prefix, as a command is told of it.
    #[allow(dead_code, reason = "the command's tests use it")]
    pub fn url(&self, bucket: &str) -> String {
        url(self.port, bucket)
    }

    /// The bucket, below a prefix.
    pub fn tier(&self, bucket: &str) -> ObjectTier {
        at_port(self.port, bucket)
    }
}

/// A bucket at a port of this machine.
pub fn at_port(port: u16, bucket: &str) -> ObjectTier {
    let credentials =
        Credentials { access_key_id: "test".into(), secret_access_key: "test".into() };
    ObjectTier::open_as(&url(port, bucket), &credentials).unwrap()
}

fn url(port: u16, bucket: &str) -> String {
    format!("s3://{bucket}/of/tests?region=us-east-1&endpoint=http://127.0.0.1:{port}")
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("FACTUM_MOTO") {
        return Ok(named.into());
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).map(|dir| dir.join("moto_server"));
    if let Some(found) = found.into_iter().find(|program| program.is_file()) {
        return Ok(found);
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("moto");
    let program = folder.join("bin/moto_server");
    if program.is_file() {
        return Ok(program);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(folder.join("bin/python")).args(["-m", "pip", "install", "--quiet", MOTO]))?;
    Ok(program)
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
            Err(format!("moto cannot be installed: {last}"))
        }
        Err(error) => Err(format!("moto cannot be installed: {error}")),
    }
}

#[allow(clippy::print_stderr, reason = "what a test says to whoever runs it")]
fn skipped(test: &str, why: &str) {
    eprintln!("SKIPPED: {test}: {why}");
    let Some(path) = std::env::var_os("FACTUM_SKIPS") else {
        return;
    };
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.unwrap().write_all(format!("{test}: {why}\n").as_bytes()).unwrap();
}
