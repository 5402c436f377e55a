//! `factum dev` and `factum serve`: a store on this machine, over the network.
//!
//! The one place of the command that knows the engine and the server. What must hold: `dev` is
//! reached from this machine only; `serve` is never insecure by accident; ending either drains,
//! syncs, and says so.

use super::{follow::Stop, front, settings::Settings, store, tier};
use crate::{
    args,
    console::{self, BOLD, CYAN, DIM, Out, warning},
    failure::{Exit, Failure, Outcome},
};
use factum::log::{LogStore, Options};
use factum_server::{Config, Server, ServerError};
use std::{
    collections::BTreeSet,
    io::{self, ErrorKind, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

/// Where a store listens unless it is told otherwise.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2113);

/// Where a store keeps its data unless it is told otherwise.
const DATA: &str = "./factum-data";

/// A store for development.
pub(super) async fn dev(args: args::Dev, out: &mut Out) -> Outcome {
    let listen = args.listen;
    if !listen.ip().is_loopback() {
        let cause = format!(
            "dev has no TLS and no users, so it listens on this machine only, and {} is reached by \
             others too",
            listen.ip()
        );
        return Err(Failure::usage(cause).help(format_args!(
            "use --listen 127.0.0.1:{}; or, on a network that you trust, `factum serve --insecure \
             --listen {listen}`",
            listen.port()
        )));
    }
    let stop = Stop::listen();
    let (world, _) = tier::world(&args.data)?;
    let mut settings = Settings::default();
    settings.store.scrub_bytes_per_second = args.scrub;
    let compression = args.compress.unwrap_or_default();
    let options = Options { compression, ..settings.options(world) };
    let log = store::open_in(&args.data, options)?;
    let host = Host::start(&args.data, log, Config::new(listen)).await?;
    host.banner(out)?;
    host.run(stop, out).await
}

/// A store for others.
pub(super) async fn serve(args: args::Serve, out: &mut Out) -> Outcome {
    let file = args.config.as_deref().map(Settings::read).transpose()?;
    let mut file = file.unwrap_or_default();
    file.store.scrub_bytes_per_second = args.scrub.or(file.store.scrub_bytes_per_second);
    if !args.insecure && !file.insecure {
        return Err(Failure::usage(
            "TLS and users are not there yet: this release serves in the open",
        )
        .help(
            "on a network that you trust, add --insecure: everybody who reaches the address \
                 reads and writes everything. For this machine alone, use `factum dev`",
        ));
    }
    let stop = Stop::listen();
    if let Some(url) = &args.store {
        return front::serve(url, args.listen.unwrap_or(LISTEN), stop, out).await;
    }
    let data = args.data.or(file.data.clone()).unwrap_or_else(|| DATA.into());
    let (world, mover) = tier::served(&data, args.tier.or(file.tier.clone()), args.tier_keep)?;
    let mut options = file.options(world);
    options.compression = args.compress.unwrap_or(options.compression);
    let mut config = Config::new(args.listen.or(file.listen).unwrap_or(LISTEN));
    file.limits.of_server(&mut config.limits);
    let host = Host::start(&data, store::open_in(&data, options)?, config).await?;
    // Ends with this function: before the folder is let go of.
    let _mover = mover.map(|mover| mover.start()).transpose()?;
    warning(format_args!(
        "no TLS and no users: everybody who reaches {} reads and writes everything",
        host.local
    ));
    writeln!(out, "factum serves {} at {}", host.dir.display(), host.url())?;
    out.flush()?;
    host.run(stop, out).await
}

/// A store that listens.
pub(super) struct Host {
    dir: PathBuf,
    pub(super) local: SocketAddr,
    log: LogStore,
    server: Server,
}

impl Host {
    pub(super) async fn start(data: &Path, log: LogStore, config: Config) -> Outcome<Self> {
        let listen = config.listen;
        let server = Server::bind_log(config, log.clone());
        let server = server.await.map_err(|error| not_listening(error, listen))?;
        let host = Self { dir: data.to_owned(), local: server.local_addr(), log, server };
        host.log.advertise(&host.url()).map_err(store::embedded)?;
        if let Some(why) = host.log.read_only()
            && host.log.lag().is_none()
        {
            warning(format_args!("the store opened to read only: {why}"));
        }
        Ok(host)
    }

    pub(super) fn url(&self) -> String {
        format!("factum://{}", reachable(self.local))
    }

    /// What a newcomer needs to go on.
    fn banner(&self, out: &mut Out) -> io::Result<()> {
        let local = reachable(self.local);
        let (bold, cyan, dim) = (out.look.style(BOLD), out.look.style(CYAN), out.look.style(DIM));
        let url = self.url();
        let default = std::env::var("FACTUM_URL").unwrap_or_else(|_| args::DEFAULT_URL.to_owned());
        let at = if url == default { String::new() } else { format!(" --at {url}") };
        let dir = std::path::absolute(&self.dir).unwrap_or_else(|_| self.dir.clone());
        let what = if self.local == LISTEN { String::new() } else { format!(" ({url})") };
        writeln!(out, "{bold}Factum {}{bold:#} is running{what}", env!("CARGO_PKG_VERSION"))?;
        writeln!(out)?;
        writeln!(out, "  data       {}", dir.display())?;
        writeln!(out, "  factum     {cyan}{url}{cyan:#}")?;
        writeln!(out, "  KurrentDB  {cyan}kurrentdb://{local}?tls=false{cyan:#}")?;
        writeln!(out, "  health     {cyan}http://{local}/health/ready{cyan:#}")?;
        writeln!(out, "  metrics    {cyan}http://{local}/metrics{cyan:#}")?;
        writeln!(out)?;
        writeln!(out, "Try, in another terminal:")?;
        writeln!(out)?;
        let program = program();
        for command in [
            r#"append order-1 --type order.placed --data '{"total": 12}'"#,
            "read order-1",
            "tail --all",
        ] {
            writeln!(out, "  {program} {command}{at}")?;
        }
        writeln!(out, "  {program} --help")?;
        writeln!(out)?;
        writeln!(
            out,
            "{dim}For development: no TLS, no users, this machine only. Ctrl-C stops.{dim:#}"
        )?;
        out.flush()
    }

    /// Serves until somebody stops it.
    pub(super) async fn run(self, stop: Stop, out: &mut Out) -> Outcome {
        let Self { dir, log, server, .. } = self;
        let watching = tokio::spawn(warn(log.reader()));
        server.serve(stopped(stop)).await;
        watching.abort();
        let head = factum::EventStore::head(&log).await;
        log.close();
        let head = head.map_or_else(|error| error.to_string(), |head| head.to_string());
        writeln!(out, "stopped: everything is in {}, up to position {head}", dir.display())?;
        Ok(())
    }
}

/// Waits until somebody stops the server.
pub(super) async fn stopped(mut stop: Stop) {
    stop.requested().await;
    console::note("stopping: what is in progress is finished first; Ctrl-C again ends at once");
    // Whoever asks twice does not want to wait. What was acknowledged is durable anyway.
    tokio::spawn(async move {
        stop.requested().await;
        std::process::exit(130);
    });
}

/// How often it is asked whether there is something to warn of.
const ASKED_EVERY: Duration = Duration::from_secs(5);

/// Says what is found in the background, each of it once: damage, and segments that cannot be
/// compressed.
async fn warn(reader: factum::log::Reader) {
    let mut told = BTreeSet::new();
    loop {
        tokio::time::sleep(ASKED_EVERY).await;
        for fault in reader.damage_found() {
            let text = fault.to_string();
            if told.insert(text.clone()) {
                warning(format_args!("{text}; `factum verify` says what is lost by it"));
            }
        }
        if let Some(why) = reader.compression_trouble().filter(|why| told.insert(why.to_string())) {
            warning(format_args!("no segment is compressed: {why}; it is tried again each minute"));
        }
    }
}

/// How this program is called from anywhere: by its name, if that is found, or by its path.
fn program() -> String {
    let Ok(path) = std::env::current_exe() else {
        return "factum".to_owned();
    };
    let dirs = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&dirs).map(|dir| dir.join("factum")).find(|at| at.is_file());
    let is_found = found.and_then(|found| found.canonicalize().ok()) == path.canonicalize().ok();
    match path.to_string_lossy() {
        _ if is_found => "factum".to_owned(),
        path if path.contains(char::is_whitespace) => format!("'{path}'"),
        path => path.into_owned(),
    }
}

/// An address that a client on this machine can use.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

pub(super) fn not_listening(error: ServerError, listen: SocketAddr) -> Failure {
    let ServerError::Listen { source, .. } = &error else {
        return Failure::new(Exit::Failure, error);
    };
    match source.kind() {
        ErrorKind::AddrInUse => {
            Failure::new(Exit::Failure, format!("another program listens on {listen} already"))
                .help(format_args!(
                    "stop it, or choose another port: --listen {}:0 takes a free one",
                    bracketed(listen.ip())
                ))
        }
        ErrorKind::AddrNotAvailable => {
            let cause = format!("{} is no address of this machine", listen.ip());
            Failure::usage(cause).help("use --listen 127.0.0.1:2113")
        }
        ErrorKind::PermissionDenied => {
            let cause = format!("the system does not let this user listen on {listen}");
            Failure::new(Exit::Failure, cause).help("choose a port from 1024 up, such as 2113")
        }
        _ => Failure::new(Exit::Failure, error),
    }
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_an_address_that_can_be_reached() {
        for (listens, reached) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")]
        {
            assert_eq!(reachable(listens.parse().unwrap()).to_string(), reached);
        }
    }
}
