//! The real server: the built `factum`, started, looked at from outside, and ended.

use crate::worker;
use factum_core::{AnyStore, EventStore};
use factum_sim::rows::Find;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::OnceLock,
};
use tokio::runtime::Runtime;

fn binary() -> Option<PathBuf> {
    let given = std::env::var_os("FACTUM_BIN").map(PathBuf::from);
    let beside = || worker::program().with_file_name("factum");
    Some(given.unwrap_or_else(beside)).filter(|path| path.is_file())
}

/// Why it cannot be run.
pub(crate) fn is_missing() -> Option<String> {
    let cure = "no factum to run: build it, or say where it is by FACTUM_BIN";
    binary().is_none().then(|| cure.to_owned())
}

/// Why it cannot be looked at while it runs.
pub(crate) fn is_opaque() -> Option<String> {
    let cure = "what a process takes is read from /proc, as Linux has it";
    is_missing().or_else(|| (!Path::new("/proc/self/fd").is_dir()).then(|| cure.to_owned()))
}

/// Where clients live.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("threads can be started"))
}

/// The built command.
pub(crate) fn program() -> Result<PathBuf, Find> {
    binary().ok_or_else(|| "no factum to run".to_owned())
}

/// The arguments that serve the folder `data` of this one with these settings.
pub(crate) fn serving(folder: &Path, settings: &str) -> Result<Vec<String>, Find> {
    let file = folder.join("settings.toml");
    let settings = format!(
        "listen = \"127.0.0.1:0\"\ninsecure = true\ndata = {:?}\n{settings}",
        folder.join("data")
    );
    fs::write(&file, settings).map_err(|error| error.to_string())?;
    Ok(["serve".to_owned(), "--config".to_owned(), file.display().to_string()].into())
}

/// A server, which ends when it is let go.
pub(crate) struct Server {
    child: Child,
    /// Where it is, as `factum://`.
    pub(crate) url: String,
    /// Held open: it may say more.
    _out: BufReader<ChildStdout>,
}

impl Server {
    /// With its defaults.
    pub(crate) fn start(data: &Path) -> Result<Self, Find> {
        let mut command = Command::new(program()?);
        command.args(["dev", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        Self::run(command)
    }

    /// As this command says, once it listens. The process must be the server itself.
    pub(crate) fn run(mut command: Command) -> Result<Self, Find> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let Some(url) = first_url(&mut out) else {
            let _ = child.kill();
            let _ = child.wait();
            return Err("the server said no URL".into());
        };
        Ok(Self { child, url, _out: out })
    }

    /// The same place in KurrentDB's protocol.
    pub(crate) fn kurrentdb(&self) -> String {
        format!("{}?tls=false", self.url.replacen("factum", "kurrentdb", 1))
    }

    /// A client of its own connection.
    pub(crate) async fn client(&self) -> Result<AnyStore, Find> {
        factum::open(&self.url).await.map_err(|error| format!("connecting: {error}"))
    }

    /// What it takes of the machine.
    pub(crate) fn size(&self) -> Result<Size, Find> {
        Size::of(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The URL in the first line that has one; `None` where there is no such line.
fn first_url(out: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    while out.read_line(&mut line).ok()? > 0 {
        if let Some(from) = line.find("factum://") {
            let is_part = |one: char| one.is_alphanumeric() || ":/.-[]".contains(one);
            return Some(line[from..].chars().take_while(|one| is_part(*one)).collect());
        }
        line.clear();
    }
    None
}

/// What a process takes of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub(crate) memory_bytes: u64,
    pub(crate) sockets: u64,
    pub(crate) files: u64,
    pub(crate) threads: u64,
}

impl Size {
    fn of(process: u32) -> Result<Self, Find> {
        let told = |error: std::io::Error| format!("the server is gone: {error}");
        let status = fs::read_to_string(format!("/proc/{process}/status")).map_err(told)?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        };
        let memory = field("VmRSS:").ok_or("the server has ended")?;
        let mut size = Self {
            memory_bytes: memory << 10,
            threads: field("Threads:").unwrap_or(0),
            ..Self::default()
        };
        for handle in fs::read_dir(format!("/proc/{process}/fd")).map_err(told)?.flatten() {
            // One that is closed meanwhile is none.
            let Ok(of) = fs::read_link(handle.path()) else { continue };
            match of.to_string_lossy().starts_with("socket:") {
                true => size.sockets += 1,
                false => size.files += 1,
            }
        }
        Ok(size)
    }
}

/// A number that the server tells of itself.
pub(crate) async fn told(client: &AnyStore, name: &str) -> Result<f64, Find> {
    let all = client.statistics().await.map_err(|error| format!("statistics: {error}"))?;
    all.get(name).ok_or_else(|| format!("no statistic is called {name}"))
}
