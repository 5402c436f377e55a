//! `cargo xtask compare`: counts the README's application, and the same one in other frameworks.
//!
//! The programs of the others are in `docs/compare`, ours is in the README. What is counted, and
//! why so, is said in `docs/compare/README.md`; its table is made here, and `cargo xtask tidy` sees
//! that it is not stale. Apart so that a counter of tokens knows nothing of documents.

mod tokens;

use std::{error::Error, fs};

use crate::{block::Block, workspace::Workspace};
use tokens::{Count, Syntax};

/// The document that has the table.
pub(crate) const PAGE: &str = "docs/compare/README.md";
/// Where our own program is: the first block of Rust under this heading.
const HEADING: &str = "## An application";

/// A program of another framework.
struct Program {
    name: &'static str,
    file: &'static str,
    syntax: Syntax,
}

const OTHERS: [Program; 3] = [
    Program {
        name: "Marten 9.29 + Wolverine 6.29 (C#)",
        file: "marten/Order.cs",
        syntax: Syntax::CSharp,
    },
    Program { name: "Axon Framework 5.1 (Java)", file: "axon/Order.java", syntax: Syntax::Java },
    Program { name: "Emmett 0.42 (TypeScript)", file: "emmett/order.ts", syntax: Syntax::Script },
];

/// Prints the table, and puts it into the page.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let block = block(workspace)?;
    print!("{}", block.content);
    let path = workspace.root.join(block.file);
    let text = fs::read_to_string(&path)?;
    if !block.is_in(&text) {
        fs::write(&path, block.put_into(&text)?)?;
    }
    Ok(())
}

/// Whether the page says something else than what is counted.
pub(crate) fn stale(workspace: &Workspace) -> Result<bool, Box<dyn Error>> {
    let text = fs::read_to_string(workspace.root.join(PAGE))?;
    Ok(!block(workspace)?.is_in(&text))
}

fn block(workspace: &Workspace) -> Result<Block, Box<dyn Error>> {
    let readme = fs::read_to_string(workspace.root.join("README.md"))?;
    let ours = example(&readme).map(|program| tokens::count(program, Syntax::Rust));
    let mut others = Vec::new();
    for program in OTHERS {
        let path = workspace.root.join("docs/compare").join(program.file);
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let count = tokens::count(&text, program.syntax);
        others.push((program, count));
    }
    Ok(Block { file: PAGE, name: "comparison", content: table(ours, &others) })
}

/// The program of the README, where there is one.
fn example(readme: &str) -> Option<&str> {
    let (_, section) = readme.split_once(&format!("\n{HEADING}"))?;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let (_, program) = section.split_once("```rust\n")?;
    program.split_once("```").map(|(program, _)| program)
}

fn table(ours: Option<Count>, others: &[(Program, Count)]) -> String {
    let mut table =
        String::from("| program | tokens | beside Factum's | lines |\n|---|---|---|---|\n");
    let ours_are = ours.map_or("not written yet | | |".to_owned(), |Count { tokens, lines }| {
        format!("{tokens} | 1.00 | {lines} |")
    });
    table.push_str(&format!("| [Factum, the README's](../../README.md) | {ours_are}\n"));
    for (Program { name, file, .. }, Count { tokens, lines }) in others {
        let beside = ours.map_or(String::new(), |ours| format!(" {}", ratio(*tokens, ours.tokens)));
        table.push_str(&format!("| [{name}]({file}) | {tokens} |{beside} | {lines} |\n"));
    }
    table
}

/// How many times as many, to two places.
fn ratio(theirs: usize, ours: usize) -> String {
    let hundredths = (theirs * 100 + ours / 2) / ours.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_page_says_what_is_counted() {
        let workspace = Workspace::load().unwrap();
        assert!(!stale(&workspace).unwrap(), "`cargo xtask compare` makes the table anew");
    }

    #[test]
    fn the_example_is_the_first_rust_under_its_heading() {
        let readme = "# A\n```rust\nno\n```\n## An application\ntext\n```sh\nls\n```\n\
                      ```rust\nyes\n```\n```rust\nno\n```\n";
        assert_eq!(example(readme), Some("yes\n"));
    }

    #[test]
    fn without_the_heading_or_its_block_there_is_no_example() {
        assert_eq!(example("# A\n```rust\nno\n```\n"), None);
        assert_eq!(example("# A\n## An application\n## B\n```rust\nno\n```\n"), None);
    }

    #[test]
    fn what_is_not_there_yet_is_left_open() {
        let [first, ..] = OTHERS;
        let others = [(first, Count { tokens: 300, lines: 40 })];
        let open = table(None, &others);
        assert!(open.contains("| not written yet | | |\n"), "{open}");
        assert!(open.contains("| 300 | | 40 |\n"), "{open}");
        let full = table(Some(Count { tokens: 200, lines: 30 }), &others);
        assert!(full.contains("| 200 | 1.00 | 30 |\n"), "{full}");
        assert!(full.contains("| 300 | 1.50 | 40 |\n"), "{full}");
    }

    #[test]
    fn a_ratio_is_rounded() {
        assert_eq!(ratio(2, 3), "0.67");
        assert_eq!(ratio(1005, 100), "10.05");
    }
}
