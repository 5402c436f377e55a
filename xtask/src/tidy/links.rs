//! The rule about documents: every relative link leads to a file that exists, and a heading in it.
//!
//! Only Markdown files are looked at; rustdoc checks its own links.

use std::collections::BTreeSet;

use super::{Rule, Violation, tree::File};

static LINKS: Rule = Rule {
    name: "links",
    reason: "a reader who follows a link arrives: it names a file of this repository",
};

/// Every link of every document. `exists` is asked only about files that are no text.
pub(super) fn check(files: &[File], exists: &dyn Fn(&str) -> bool) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.ends("md")) {
        for (line, target) in targets(&file.text) {
            if let Some(what) = wrong(file, &target, files, exists) {
                found.push(Violation { path: file.path.clone(), line, rule: &LINKS, found: what });
            }
        }
    }
    found
}

/// What is wrong with a link of `from`, if anything.
fn wrong(
    from: &File,
    target: &str,
    files: &[File],
    exists: &dyn Fn(&str) -> bool,
) -> Option<String> {
    if target.contains(':') {
        return None; // An address, or a path of Rust.
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let Some(path) = resolve(&from.path, path) else {
        return Some(format!("{target} leads out of the repository"));
    };
    let Some(file) = files.iter().find(|file| file.path == path) else {
        return (!exists(&path)).then(|| format!("{target} does not exist"));
    };
    let missing = !anchor.is_empty() && file.ends("md") && !anchors(&file.text).contains(anchor);
    missing.then(|| format!("{path} has no heading #{anchor}"))
}

/// A path relative to the root, from one relative to the file that names it.
fn resolve(from: &str, target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if target.starts_with('/') {
        parts.clear();
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            _ => parts.push(part),
        }
    }
    Some(parts.join("/").replace("%20", " "))
}

/// The targets of links, with their lines.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let line = without_code(line);
        for (at, _) in line.match_indices("](") {
            let rest = line.get(at + 2..).unwrap_or_default();
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            found.push((number, target.trim_matches(['<', '>']).to_owned()));
        }
        let definition = line.strip_prefix('[').and_then(|line| line.split_once("]: "));
        if let Some((_, target)) = definition {
            found.push((number, target.split(' ').next().unwrap_or_default().to_owned()));
        }
        for attribute in ["src=\"", "href=\""] {
            for (at, _) in line.match_indices(attribute) {
                let rest = line.get(at + attribute.len()..).unwrap_or_default();
                found.push((number, rest.split('"').next().unwrap_or_default().to_owned()));
            }
        }
    }
    found
}

/// Lines outside blocks of code, from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => return Some((at + 1, line)),
            _ => {}
        }
        None
    })
}

/// A line with everything between back quotes left out.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// What a link into this document may name: its headings, as forges spell them, and own anchors.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (_, line) in prose(text) {
        for attribute in ["id=\"", "name=\""] {
            let own = line.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
            all.extend(own.map(str::to_owned));
        }
        let title = line.trim_start_matches('#');
        if title.len() < line.len() && title.starts_with(' ') {
            let slug = slug(title);
            let again = (1..).map(|number| format!("{slug}-{number}"));
            let free = std::iter::once(slug.clone()).chain(again).find(|one| !all.contains(one));
            all.extend(free);
        }
    }
    all
}

fn slug(title: &str) -> String {
    let mut text = String::new();
    for (at, part) in title.trim().split("](").enumerate() {
        // What follows `](` begins with the address of a link.
        let part = if at == 0 { part } else { part.split_once(')').map_or("", |pair| pair.1) };
        text.push_str(part);
    }
    let kept = text.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::file;
    use super::*;

    fn check_link(link: &str, right: bool) {
        let readme = "# Factum\n\n## What's *in* `it`?\n\n```\n# no heading\n```\n## Own\n";
        let document = format!("# Own\n\nSee {link}.\n");
        let files = [file("docs/a.md", &document), file("README.md", readme)];
        let found = check(&files, &|path| path == "docs/picture.png");
        assert_eq!(found.is_empty(), right, "{link}: {found:?}");
        assert!(found.iter().all(|one| one.line == 3));
    }

    #[test]
    fn links_that_lead_somewhere_are_right() {
        for link in [
            "[x](../README.md)",
            "[x](/README.md)",
            "[x](../README.md#whats-in-it)",
            "[x](#own)",
            "[x](picture.png \"title\")",
            "[x](https://example.org/nothing)",
            "`[x](nothing.md)`",
            "[x](crate::Thing)",
        ] {
            check_link(link, true);
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        for link in [
            "[x](nothing.md)",
            "[x](../../README.md)",
            "[x](../README.md#no-heading)",
            "[x](#nothing)",
            "![x](other.png)",
            "<img src=\"other.png\">",
            "`code` and [x](nothing.md) and `code`",
        ] {
            check_link(link, false);
        }
    }

    #[test]
    fn a_definition_is_a_link() {
        let files = [file("a.md", "[x]: b.md\n```\n[y]: c.md\n```\n")];
        let lines: Vec<_> = check(&files, &|_| false).iter().map(|one| one.line).collect();
        assert_eq!(lines, [1]);
    }

    #[test]
    fn equal_headings_are_numbered() {
        assert!(anchors("# A b\n# A b\n").iter().eq(["a-b", "a-b-1"]));
    }
}
