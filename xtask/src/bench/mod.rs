//! `cargo xtask bench`: every event store under the same loads, side by side.
//!
//! Installs what it needs (into the cache folder, or with apt), builds `bench/`, starts one store
//! at a time with durable settings, and goes through the loads in rounds: store after store within
//! a load, so that whatever the machine does meanwhile hits all of them. What came of it goes to
//! `bench/results/` and, as tables with targets, to `docs/performance.md`.
//!
//! | module | what |
//! |---|---|
//! | `options` | the command line |
//! | `peers` | the stores: how each is installed, started and addressed |
//! | `install` | what is not there is made to be there, or is skipped with the reason |
//! | `plan` | the loads, and which stores are under each |
//! | `run` | one load on one store, and its lines |
//! | `machine` | what the figures were measured on |
//! | `results` | the lines, and figures found in them |
//! | `table` | the rows, and their targets |
//! | `page` | `docs/performance.md` |

mod install;
mod machine;
mod options;
mod page;
mod peers;
mod plan;
mod results;
mod run;
mod table;

use std::{error::Error, fs};

use options::{Options, Task};
use results::Results;
use run::Bench;

use crate::workspace::Workspace;

/// Does what the options ask for; true unless a load failed.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool, Box<dyn Error>> {
    match options::parse(arguments)? {
        Task::Help => {
            print!("{}", options::USAGE);
            Ok(true)
        }
        Task::Page(path) => {
            let results = Results::read(&workspace.root.join(path))?;
            page::write(&workspace.root.join(page::PATH), &results)?;
            Ok(true)
        }
        Task::Measure(options) => measure(workspace, &options),
    }
}

fn measure(workspace: &Workspace, options: &Options) -> Result<bool, Box<dyn Error>> {
    let bench = Bench::prepare(workspace, options)?;
    let results = bench.measure()?;
    let (json, page) = if options.quick {
        let folder = workspace.target.join("bench");
        (folder.join("quick.json"), folder.join("performance.md"))
    } else {
        let folder = workspace.root.join("bench/results");
        (folder.join(results.file_name()), workspace.root.join(page::PATH))
    };
    if let Some(folder) = json.parent() {
        fs::create_dir_all(folder)?;
    }
    results.write(&json)?;
    page::write(&page, &results)?;
    println!("\n{}\n{}", json.display(), page.display());
    let errors = results.errors();
    for error in &errors {
        println!("failed: {error}");
    }
    Ok(errors.is_empty())
}
