//! The ledger as a table, in the document that says what is promised.

use std::{error::Error, fs};

use super::ledger::{FILE, Ledger, Line};
use crate::{block::Block, workspace::Workspace};

/// Writes the table anew, and prints it.
pub(super) fn write(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let block = block(&Ledger::load(workspace)?);
    print!("\n{}", block.content);
    let path = workspace.root.join(block.file);
    let text = fs::read_to_string(&path)?;
    if !block.is_in(&text) {
        fs::write(&path, block.put_into(&text)?)?;
    }
    Ok(())
}

/// The table: a line a row, in the order of their first runs.
pub(super) fn block(ledger: &Ledger) -> Block {
    let mut names: Vec<&str> = Vec::new();
    for line in &ledger.lines {
        if !names.contains(&line.row.name.as_str()) {
            names.push(&line.row.name);
        }
    }
    // In the order of names: lines of two branches meet in either order.
    names.sort_unstable();
    let mut content =
        format!("All runs of [the ledger]({}):\n\n", FILE.trim_start_matches("docs/"));
    content.push_str("| row | looked at | of a release's | finds | hours | last |\n");
    content.push_str("|---|---|---|---|---|---|\n");
    for name in names {
        let lines: Vec<&Line> = ledger.lines.iter().filter(|line| line.row.name == name).collect();
        content.push_str(&row(&lines));
    }
    Block { file: Block::GUARANTEES, name: "ledger", content }
}

fn row(lines: &[&Line]) -> String {
    let Some(last) = lines.iter().max_by(|a, b| (&a.date, &a.commit).cmp(&(&b.date, &b.commit)))
    else {
        return String::new();
    };
    let sum = |of: fn(&Line) -> u64| lines.iter().map(|line| of(line)).sum::<u64>();
    let done = sum(|line| line.told.done);
    let (finds, seconds) = (sum(|line| line.told.finds), sum(|line| line.told.seconds));
    let most = lines.iter().map(|line| line.told.upto).max().unwrap_or(0);
    let share = match (last.row.goal, last.row.cases) {
        (0, cases) => format!("{} of {} cases", grouped(most), grouped(cases)),
        (goal, _) => grouped(goal),
    };
    let (row, tenths) = (&last.row, seconds / 360);
    format!(
        "| `{}` | {} {} | {share} | {finds} | {}.{} | {}, {} |\n",
        row.name,
        grouped(done),
        row.unit,
        tenths / 10,
        tenths % 10,
        last.date,
        last.commit
    )
}

/// A number with a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let all = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(all, ["0", "999", "1,000", "1,234,567"]);
    }
}
