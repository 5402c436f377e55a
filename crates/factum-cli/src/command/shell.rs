//! Completions and man pages, made of the same texts as `--help`.

use crate::{
    args::{self, Cli},
    console::Out,
    failure::{Exit, Failure, Outcome},
};
use clap::CommandFactory;
use std::io::{self, Write};

/// Writes the completions of a shell.
pub(super) fn completions(args: &args::Completions, out: &mut Out) -> Outcome {
    // The generator panics where it cannot write: let it write to memory.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "factum", &mut text);
    out.write_all(&text)?;
    Ok(())
}

/// Writes a man page for the command, and one for each of its commands.
#[allow(clippy::disallowed_methods, reason = "the door to the folder that the user names")]
pub(super) fn man(args: &args::Man, out: &mut Out) -> Outcome {
    let dir = &args.dir;
    let written = std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .and_then(|()| std::fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>());
    let files = written.map_err(|error| {
        let cause = format!("cannot write into {}: {error}", dir.display());
        Failure::new(Exit::Failure, cause).help("name a folder that you may write to")
    })?;
    writeln!(
        out,
        "{} pages in {}; read one: man {}/factum.1",
        files.len(),
        dir.display(),
        dir.display()
    )?;
    Ok(())
}
