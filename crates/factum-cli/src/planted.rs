//! Bugs on purpose: `FACTUM_BUG` names the one that is on in this process, or is `list`, which
//! names those of the server. For tests only.

use factum_log::planted as engine;
use factum_server::planted as server;

/// Plants what is asked for.
///
/// # Panics
/// If there is no such bug: a test that plants none would prove nothing.
#[allow(clippy::print_stdout, reason = "what is asked for")]
pub(crate) fn plant() {
    let Ok(asked) = std::env::var("FACTUM_BUG") else { return };
    if asked == "list" {
        for bug in server::Bug::ALL {
            println!("{bug:?} {}", bug.about());
        }
        std::process::exit(0);
    }
    let (engines, servers) = (engine::Bug::named(&asked), server::Bug::named(&asked));
    assert!(engines.is_some() || servers.is_some(), "no bug is called {asked}");
    engine::set(engines);
    server::set(servers);
}
