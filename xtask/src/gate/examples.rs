//! The gate that runs the examples of the facade as a reader would: each over every kind of store,
//! by its URL alone, and twice over the same folder.

use super::{Runner, Stop};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The examples that are applications, and need nothing but a store; some with an argument.
const EXAMPLES: &[&str] = &["alone", "bank", "fines", "optimistic", "shop", "shop choreographed"];

/// The services that are killed meanwhile: so many orders, by whom they are led.
#[cfg(unix)]
const SERVICES: &[&[&str]] =
    &[&["--orders", "60", "--seed", "5"], &["--orders", "60", "--seed", "4", "--orchestrated"]];

/// Builds them and the command, and runs each over memory, a folder and a server; then services
/// that are killed.
pub(super) fn run(runner: &mut Runner) -> Result<(), Stop> {
    let named = EXAMPLES.iter().filter(|name| !name.contains(' '));
    let named = named.flat_map(|name| ["--example", name]);
    let build = ["build", "--workspace", "--bin", "factum", "--bin", "shop-services"]
        .into_iter()
        .chain(named);
    runner.execute(runner.cargo(&build.collect::<Vec<_>>()))?;
    let room = runner.workspace.target.join(format!("xtask/examples-{}", std::process::id()));
    fs::create_dir_all(&room)?;
    let result = over_every_store(runner, &room).and_then(|()| either_way(runner));
    fs::remove_dir_all(&room)?;
    result?;
    services(runner)
}

/// Four services over a broker, with a database each, that they start themselves.
#[cfg(unix)]
fn services(runner: &mut Runner) -> Result<(), Stop> {
    for arguments in SERVICES {
        let mut command = Command::new(built(runner, "shop-services"));
        command.args(*arguments);
        runner.execute(command)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn services(_: &mut Runner) -> Result<(), Stop> {
    Ok(())
}

fn over_every_store(runner: &mut Runner, room: &Path) -> Result<(), Stop> {
    let server = Server::start(built(runner, "factum"), &room.join("server"))?;
    for name in EXAMPLES {
        let folder = format!("file:{}", room.join(name).display());
        for url in ["memory:", &folder, &folder, &server.url, &server.url] {
            let mut command = example(runner, name);
            command.env("FACTUM_URL", url);
            runner.execute(command)?;
        }
    }
    Ok(())
}

/// The shop comes to the same, whether a process orders its steps or nobody does.
fn either_way(runner: &Runner) -> Result<(), Stop> {
    let outcome = |name: &str| -> Result<Vec<String>, Stop> {
        let said = example(runner, name).env("FACTUM_URL", "memory:").output()?.stdout;
        let said = String::from_utf8_lossy(&said).into_owned();
        let (orders, rows) = said.split_once("Left in stock").unwrap_or((&said, ""));
        let orders = orders.lines().filter(|line| line.starts_with("Order "));
        Ok(orders.chain(rows.lines()).map(str::to_owned).collect())
    };
    let (one, other) = (outcome("shop")?, outcome("shop choreographed")?);
    if one.len() > 3 && one == other {
        return Ok(());
    }
    Err(Stop::Failed(format!("the shop has two outcomes:\n{one:#?}\n{other:#?}")))
}

/// An example, with its argument if it has one.
fn example(runner: &Runner, name: &str) -> Command {
    let mut words = name.split_whitespace();
    let program = words.next().unwrap_or_default();
    let mut command = Command::new(built(runner, &format!("examples/{program}")));
    command.args(words);
    command
}

fn built(runner: &Runner, name: &str) -> PathBuf {
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    runner.workspace.target.join("debug").join(name)
}

/// A server with a folder of its own, on a port that is free; gone when it is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(command: PathBuf, data: &Path) -> Result<Self, Stop> {
        let mut child = Command::new(command)
            .args(["dev", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().expect("standard output was asked to be a pipe");
        let url = BufReader::new(output).lines().map_while(Result::ok).find_map(|line| {
            let said = line.split_whitespace().find(|word| word.starts_with("factum://"));
            said.map(str::to_owned)
        });
        let mut server = Self { child, url: String::new() };
        match url {
            Some(url) => {
                server.url = url;
                Ok(server)
            }
            None => Err(Stop::Failed("`factum dev` did not say where it listens".to_owned())),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
