//! The rule about errors of the store trait: each is answered on purpose, and each seen in a test.
//!
//! Everything that a store can refuse reaches a client through one table in the server. A variant
//! that the table does not name would fall to whatever is the default there: a wrong status, and a
//! client that retries what it must not, or gives up on what it could retry.

use std::{collections::BTreeSet, str::FromStr};

use proc_macro2::{TokenStream, TokenTree};

use super::{Rule, Violation, sizes::Structure, tree::File};

static MAPPED: Rule = Rule {
    name: "error table",
    reason: "one table in factum-server maps each error of the store trait to a status, by name",
};
static TESTED: Rule = Rule {
    name: "error tested",
    reason: "an error that no test has seen is an error that nobody knows to work",
};

const ENUMS: &[&str] = &["AppendError", "ReadError"];
const CORE: &str = "crates/factum-core/src/";
const SERVER: &str = "crates/factum-server/src/";

/// A variant, and where it is defined.
struct Variant<'a> {
    file: &'a File,
    line: usize,
    /// `AppendError::Conflict`
    name: String,
}

/// Looks for each variant in the server's table, once there is one, and in tests.
pub(super) fn check(files: &[File]) -> Vec<Violation> {
    let core = files.iter().filter(|file| file.path.starts_with(CORE));
    let variants: Vec<Variant> = core.flat_map(variants).collect();
    let tested: BTreeSet<String> = files.iter().flat_map(|file| named(file, true)).collect();
    let mut found = Vec::new();
    for variant in &variants {
        if !tested.contains(&variant.name) {
            found.push(violation(variant, &TESTED, "is named by no test"));
        }
        if let Some((path, names)) = table(files, &variant.name)
            && !names.contains(&variant.name)
        {
            found.push(violation(variant, &MAPPED, &format!("is not named in {path}")));
        }
    }
    found
}

fn violation(variant: &Variant, rule: &'static Rule, what: &str) -> Violation {
    let found = format!("{} {what}", variant.name);
    Violation { path: variant.file.path.clone(), line: variant.line, rule, found }
}

/// The server's file that names most variants of this variant's enum.
fn table<'a>(files: &'a [File], variant: &str) -> Option<(&'a str, BTreeSet<String>)> {
    let (name, _) = variant.split_once("::")?;
    let server = files.iter().filter(|file| file.path.starts_with(SERVER));
    let with_names = server.map(|file| {
        let of_enum = |one: &String| one.split_once("::").is_some_and(|(of, _)| of == name);
        let names = named(file, false).into_iter().filter(of_enum);
        (file.path.as_str(), names.collect::<BTreeSet<_>>())
    });
    with_names.filter(|(_, names)| !names.is_empty()).max_by_key(|(_, names)| names.len())
}

/// The variants of the enums that this file defines.
fn variants(file: &File) -> Vec<Variant<'_>> {
    let tokens: Vec<TokenTree> = tokens(file);
    let mut found = Vec::new();
    for window in tokens.windows(3) {
        let [TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Group(body)] = window
        else {
            continue;
        };
        if word == "enum" && ENUMS.iter().any(|one| name == one) {
            let heads = heads(body.stream());
            found.extend(heads.into_iter().map(|(variant, line)| {
                let name = format!("{name}::{variant}");
                Variant { file, line, name }
            }));
        }
    }
    found
}

/// The names in an enum's body: the first word after each comma, attributes left out.
fn heads(body: TokenStream) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut at_head = true;
    for token in body {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ',' => at_head = true,
            TokenTree::Ident(name) if at_head => {
                found.push((name.to_string(), name.span().start().line));
                at_head = false;
            }
            _ => {}
        }
    }
    found
}

/// What this file names as `ENUM::VARIANT`: in its tests, or outside them.
fn named(file: &File, in_tests: bool) -> Vec<String> {
    if !file.ends("rs") || !ENUMS.iter().any(|name| file.text.contains(name)) {
        return Vec::new();
    }
    let Ok(structure) = Structure::of(&file.text) else { return Vec::new() };
    let whole = file.is_test() || file.path.contains("testkit/") || file.path.starts_with("sim/");
    let mut names = Vec::new();
    pairs(&tokens(file), &mut |name, line| {
        if in_tests == (whole || structure.is_test(line)) {
            names.push(name);
        }
    });
    names
}

/// Every `A::B` at any depth, with its line.
fn pairs(tokens: &[TokenTree], see: &mut dyn FnMut(String, usize)) {
    for window in tokens.windows(4) {
        let [TokenTree::Ident(a), TokenTree::Punct(p), TokenTree::Punct(q), TokenTree::Ident(b)] =
            window
        else {
            continue;
        };
        if p.as_char() == ':' && q.as_char() == ':' {
            see(format!("{a}::{b}"), b.span().start().line);
        }
    }
    for token in tokens {
        if let TokenTree::Group(group) = token {
            pairs(&group.stream().into_iter().collect::<Vec<_>>(), see);
        }
    }
}

fn tokens(file: &File) -> Vec<TokenTree> {
    TokenStream::from_str(&file.text).map(|all| all.into_iter().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tree::file;
    use super::*;

    const ENUM: &str = "
        #[derive(Debug)]
        pub enum AppendError {
            /// A check failed.
            #[error(\"check {index}, {found}\")]
            Conflict { index: usize, found: Found },
            TooLarge(u64, u64),
            Unknown,
        }";
    const TESTS: &str = "fn a() { matches!(e, AppendError::Conflict { .. });
        f(AppendError::TooLarge(1, 2)); f(AppendError::Unknown) }";

    fn check_rules(server: &str, tests: &str, expect: &[(usize, &str)]) {
        let files = [
            file("crates/factum-core/src/error.rs", ENUM),
            file("crates/factum-server/src/status.rs", server),
            file("crates/factum-testkit/src/appends.rs", tests),
        ];
        let found = check(&files);
        let found: Vec<_> = found.iter().map(|one| (one.line, one.rule.name)).collect();
        assert_eq!(found, expect, "{server}\n{tests}");
    }

    #[test]
    fn a_variant_that_the_table_leaves_out_is_found() {
        let all = "match e { AppendError::Conflict { .. } => 1, AppendError::TooLarge(..) => 2,
            AppendError::Unknown => 3 }";
        check_rules(all, TESTS, &[]);
        let most = all.replace("AppendError::Unknown", "Code::Unknown");
        check_rules(&most, TESTS, &[(8, "error table")]);
    }

    #[test]
    fn a_mention_in_the_servers_own_tests_does_not_map() {
        let server = "fn f() { AppendError::Conflict; AppendError::Unknown; }
            #[cfg(test)] mod tests {
                fn t() { AppendError::TooLarge(1, 2); }
            }";
        check_rules(server, TESTS, &[(7, "error table")]);
    }

    #[test]
    fn a_variant_without_a_test_is_found() {
        let tests = "fn a() { AppendError::Conflict; AppendError::TooLarge; }";
        check_rules("", tests, &[(8, "error tested")]);
    }
}
