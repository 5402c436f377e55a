//! Rules about size: how long a file may be without its tests, and how long a function.
//!
//! Apart because these need the code's structure. Tokens are enough for it: they know strings and
//! comments from code, and they also read what does not compile yet.

use std::{ops::RangeInclusive, str::FromStr};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::{Rule, Violation, tree::File};

static FILE: Rule = Rule {
    name: "file size",
    reason: "600 lines at most without tests (300 aimed): a file holds one idea",
};
static FUNCTION: Rule = Rule {
    name: "function size",
    reason: "70 lines at most (25 aimed): a function is understood in one look",
};
static READABLE: Rule = Rule { name: "tokens", reason: "what is not Rust cannot be checked" };

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Lines from 1, both ends included.
type Lines = RangeInclusive<usize>;

/// What the rules, and others, need to know of a file's structure.
#[derive(Default)]
pub(super) struct Structure {
    functions: Vec<(String, Lines)>,
    /// Items under `#[cfg(test)]`.
    tests: Vec<Lines>,
}

impl Structure {
    /// Reads a file's tokens; the error says where they end.
    pub(super) fn of(text: &str) -> Result<Self, (usize, String)> {
        let tokens = TokenStream::from_str(text)
            .map_err(|error| (error.span().start().line, error.to_string()))?;
        let mut structure = Self::default();
        structure.walk(tokens, false);
        Ok(structure)
    }

    /// Whether a line belongs to tests.
    pub(super) fn is_test(&self, line: usize) -> bool {
        self.tests.iter().any(|lines| lines.contains(&line))
    }

    fn walk(&mut self, tokens: TokenStream, in_test: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut test_until = 0;
        for at in 0..tokens.len() {
            let rest = tokens.get(at..).unwrap_or_default();
            if let Some(name) = function_name(rest)
                && let Some((_, body)) = block(rest)
            {
                self.functions.push((name, lines(rest, body)));
            }
            if !in_test
                && is_cfg_test(rest)
                && let Some((length, body)) = block(rest)
            {
                self.tests.push(lines(rest, body));
                test_until = at + length;
            }
            if let [TokenTree::Group(group), ..] = rest {
                self.walk(group.stream(), in_test || at < test_until);
            }
        }
    }
}

/// `fn NAME` begins here.
fn function_name(tokens: &[TokenTree]) -> Option<String> {
    match tokens {
        [TokenTree::Ident(word), TokenTree::Ident(name), ..] if word == "fn" => {
            Some(name.to_string())
        }
        _ => None,
    }
}

/// `#[cfg(test)]` or `#[cfg(all(test, …))]` begins here.
fn is_cfg_test(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = tokens else { return false };
    let words: String = attribute.stream().to_string().split_whitespace().collect();
    hash.as_char() == '#' && (words == "cfg(test)" || words.starts_with("cfg(all(test"))
}

/// The block in braces with which the item that begins here ends, and how many tokens that takes.
fn block(tokens: &[TokenTree]) -> Option<(usize, &Group)> {
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                return Some((at + 1, group));
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => return None,
            _ => {}
        }
    }
    None
}

fn lines(from: &[TokenTree], body: &Group) -> Lines {
    let first = from.first().map_or(1, |token| token.span().start().line);
    first..=body.span_close().end().line
}

fn count(lines: &Lines) -> usize {
    lines.end() + 1 - lines.start()
}

/// This file's sizes.
pub(super) fn check(file: &File) -> Vec<Violation> {
    if !file.ends("rs") || file.is_generated() {
        return Vec::new();
    }
    let violation = |line, rule, found| Violation { path: file.path.clone(), line, rule, found };
    let structure = match Structure::of(&file.text) {
        Ok(structure) => structure,
        Err((line, error)) => return vec![violation(line, &READABLE, error)],
    };
    let mut found = Vec::new();
    let tests: usize = structure.tests.iter().map(count).sum();
    let size = file.text.lines().count() - tests;
    if size > FILE_LINES_MAX && !file.is_test() {
        found.push(violation(1, &FILE, format!("{size} lines without tests")));
    }
    for (name, lines) in &structure.functions {
        if count(lines) > FUNCTION_LINES_MAX {
            let what = format!("fn {name} has {} lines", count(lines));
            found.push(violation(*lines.start(), &FUNCTION, what));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tree::file;
    use super::*;

    fn check_rules(path: &str, text: &str, expect: &[(usize, &str)]) {
        let found = check(&file(path, text));
        let found: Vec<_> = found.iter().map(|one| (one.line, one.rule.name)).collect();
        assert_eq!(found, expect, "{path}");
    }

    /// A function of so many lines.
    fn function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    work();\n".repeat(lines - 2))
    }

    #[test]
    fn a_function_of_more_than_70_lines_is_found() {
        check_rules("a.rs", &function(70), &[]);
        check_rules("a.rs", &format!("\n{}", function(71)), &[(2, "function size")]);
        let method = format!("impl X {{\n/// Doc.\n{}}}\n", function(71));
        check_rules("a.rs", &method, &[(3, "function size")]);
    }

    #[test]
    fn braces_in_strings_and_comments_do_not_count() {
        let text = "fn a() { let x = \"}\"; /* } */ let y = '}'; let z = r#\"}\"#; }\n";
        let text = format!("{text}{}", function(71));
        check_rules("a.rs", &text, &[(2, "function size")]);
    }

    #[test]
    fn a_declaration_is_not_joined_with_what_follows() {
        let text = format!("trait T {{ fn short(&self);\n{}}}\n", function(70));
        check_rules("a.rs", &text, &[]);
    }

    #[test]
    fn a_file_of_more_than_600_lines_is_found() {
        check_rules("a.rs", &"// x\n".repeat(600), &[]);
        check_rules("a.rs", &"// x\n".repeat(601), &[(1, "file size")]);
        check_rules("a/generated/b.rs", &"// x\n".repeat(601), &[]);
        check_rules("a/tests/it/b.rs", &"// x\n".repeat(601), &[]);
    }

    #[test]
    fn tests_in_a_file_are_not_counted() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// x\n".repeat(50));
        check_rules("a.rs", &format!("{}{tests}", "// x\n".repeat(600)), &[]);
        check_rules("a.rs", &format!("{}{tests}", "// x\n".repeat(601)), &[(1, "file size")]);
    }

    #[test]
    fn what_is_not_rust_is_found() {
        check_rules("a.rs", "fn a() {\n", &[(1, "tokens")]);
    }
}
