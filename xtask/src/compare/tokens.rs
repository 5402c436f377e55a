//! Counts what a reader of a program reads: one measure for four languages.
//!
//! A name or a number is one token, a string is one whatever is in it, and every other mark is one:
//! `=>` and `::` are two in every language. Comments, blank space and the lines that import count
//! nothing. It is no lexer of any of the languages: only what would be counted wrong without it is
//! told apart, so that no language is favoured by how well its grammar is known here.

/// Where the languages differ in what begins a comment, a string or an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    CSharp,
    Java,
    Rust,
    /// TypeScript.
    Script,
}

/// What a program counts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) tokens: usize,
    /// Lines in which a token that counts begins.
    pub(super) lines: usize,
}

/// Counts a program.
pub(super) fn count(program: &str, syntax: Syntax) -> Count {
    let all = tokens(program, syntax);
    let mut count = Count::default();
    let (mut last, mut import) = (0, false);
    for (index, token) in all.iter().enumerate() {
        let begins_line = index.checked_sub(1).and_then(|i| all.get(i)).map(|t| t.line);
        if begins_line != Some(token.line) {
            import |= syntax.imports(token.text, all.get(index + 1).map_or("", |next| next.text));
        }
        if import {
            import = token.text != ";";
            continue;
        }
        count.tokens += 1;
        count.lines += usize::from(last != token.line);
        last = token.line;
    }
    count
}

#[derive(Debug, PartialEq, Eq)]
struct Token<'a> {
    text: &'a str,
    /// From 1: where it begins.
    line: usize,
}

fn tokens(program: &str, syntax: Syntax) -> Vec<Token<'_>> {
    let (mut rest, mut line) = (program, 1);
    let mut found = Vec::new();
    while let Some(first) = rest.chars().next() {
        let blank = blank(rest, syntax);
        let length = if blank > 0 { blank } else { token(rest, first, syntax) };
        let (text, after) = rest.split_at(length);
        if blank == 0 {
            found.push(Token { text, line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    found
}

/// The bytes of the blank space or the comment that begins here; 0 where a token does.
fn blank(rest: &str, syntax: Syntax) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return comment(rest, syntax);
    }
    rest.len() - rest.trim_start().len()
}

/// The bytes of the block comment that begins here; those of Rust nest.
fn comment(rest: &str, syntax: Syntax) -> usize {
    let (mut at, mut depth) = (0, 0);
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("/*") && (depth == 0 || syntax == Syntax::Rust) {
            (at, depth) = (at + 2, depth + 1);
        } else if here.starts_with("*/") {
            (at, depth) = (at + 2, depth - 1);
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The bytes of the token that begins here, with `first`.
fn token(rest: &str, first: char, syntax: Syntax) -> usize {
    if let Some(string) = string(rest, syntax) {
        return string;
    }
    if first.is_ascii_digit() {
        return number(rest);
    }
    let word = word(rest);
    if word > 0 { word } else { first.len_utf8() }
}

fn word(rest: &str) -> usize {
    let inside = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    rest.find(|c| !inside(c)).unwrap_or(rest.len())
}

/// Digits with what is stuck to them: a point only where a digit follows (`15.Minutes()`, `0..9`).
fn number(rest: &str) -> usize {
    let whole = word(rest);
    let Some(part) = rest.get(whole..).and_then(|after| after.strip_prefix('.')) else {
        return whole;
    };
    if part.starts_with(|c: char| c.is_ascii_digit()) { whole + 1 + word(part) } else { whole }
}

/// The bytes of the string or the character that begins here, with what stands before its quote.
fn string(rest: &str, syntax: Syntax) -> Option<usize> {
    let prefix = rest.find(|c: char| !syntax.prefixes().contains(&c)).unwrap_or(rest.len());
    let (before, quoted) = rest.split_at(prefix);
    let raw = before.contains(['r', '@']);
    let inside = match quoted.chars().next()? {
        '"' if raw && before.contains('#') => {
            until(quoted, &format!("\"{}", "#".repeat(before.matches('#').count())), false)
        }
        '"' if quoted.starts_with("\"\"\"") => until(quoted, "\"\"\"", false),
        '"' => until(quoted, "\"", !raw),
        '`' if syntax == Syntax::Script && prefix == 0 => until(quoted, "`", true),
        '\'' if syntax == Syntax::Script && prefix == 0 => until(quoted, "'", true),
        '\'' if before.chars().all(|c| c == 'b') => character(quoted)?,
        _ => return None,
    };
    Some(prefix + inside)
}

/// The bytes up to and with the mark that ends what begins with a mark.
fn until(quoted: &str, end: &str, escapes: bool) -> usize {
    // What `"##` ends is begun by one quote, what `"""` ends by three.
    let mut at = end.trim_end_matches('#').len();
    while let Some(here) = quoted.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with(end) {
            return at + end.len();
        }
        let mut characters = here.chars();
        let first = characters.next();
        let second = characters.next().filter(|_| escapes && first == Some('\\'));
        at += first.into_iter().chain(second).map(char::len_utf8).sum::<usize>();
    }
    quoted.len()
}

/// `'x'` or `'\n'`; a lifetime is none.
fn character(quoted: &str) -> Option<usize> {
    let inside = quoted.strip_prefix('\'')?;
    if inside.starts_with('\\') {
        return Some(until(quoted, "'", true));
    }
    let one = inside.chars().next()?.len_utf8();
    inside.get(one..)?.starts_with('\'').then_some(one + 2)
}

impl Syntax {
    /// The characters that may stand before the quote of a string.
    fn prefixes(self) -> &'static [char] {
        match self {
            Self::CSharp => &['$', '@'],
            Self::Rust => &['b', 'c', 'r', '#'],
            Self::Java | Self::Script => &[],
        }
    }

    /// Whether a line that begins so imports, up to the next semicolon.
    fn imports(self, word: &str, next: &str) -> bool {
        match self {
            // `using var x = …` is a statement.
            Self::CSharp => word == "namespace" || word == "using" && !["var", "("].contains(&next),
            Self::Java => ["import", "package"].contains(&word),
            Self::Rust => word == "use",
            Self::Script => word == "import",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Syntax; 4] = [Syntax::CSharp, Syntax::Java, Syntax::Rust, Syntax::Script];

    fn check(syntax: Syntax, program: &str, expect: &[&str]) {
        let found: Vec<&str> = tokens(program, syntax).iter().map(|token| token.text).collect();
        assert_eq!(found, expect, "{program} in {syntax:?}");
    }

    #[test]
    fn names_numbers_strings_and_marks_are_one_each_in_every_language() {
        for syntax in ALL {
            check(syntax, "", &[]);
            check(syntax, "total_2 => 1_000", &["total_2", "=", ">", "1_000"]);
            check(syntax, "a.b(\"c \\\" d\");", &["a", ".", "b", "(", "\"c \\\" d\"", ")", ";"]);
            check(syntax, "größe=1.5-x", &["größe", "=", "1.5", "-", "x"]);
            check(syntax, "15.Minutes()", &["15", ".", "Minutes", "(", ")"]);
            check(syntax, "0..9", &["0", ".", ".", "9"]);
        }
    }

    #[test]
    fn comments_count_nothing() {
        for syntax in ALL {
            check(syntax, "a // b \"\nc /* d\n' */ e // f", &["a", "c", "e"]);
            check(syntax, "\"// no\" /* no end", &["\"// no\""]);
        }
        check(Syntax::Rust, "/* a /* b */ c */ d", &["d"]);
        check(Syntax::Java, "/* a /* b */ c", &["c"]);
    }

    #[test]
    fn strings_of_each_language_are_one() {
        check(Syntax::CSharp, "$\"a{b}\" @\"c\\\" d", &["$\"a{b}\"", "@\"c\\\"", "d"]);
        check(Syntax::CSharp, "\"\"\"a \" b\"\"\" 'c'", &["\"\"\"a \" b\"\"\"", "'c'"]);
        check(Syntax::Java, "\"\"\"\na \"b\"\n\"\"\";", &["\"\"\"\na \"b\"\n\"\"\"", ";"]);
        check(Syntax::Rust, "r#\"a\"b\"# b\"c\" brand", &["r#\"a\"b\"#", "b\"c\"", "brand"]);
        check(Syntax::Rust, "r\"\\\" b'x'", &["r\"\\\"", "b'x'"]);
        check(Syntax::Script, "SQL`a'b` 'c \" d'", &["SQL", "`a'b`", "'c \" d'"]);
    }

    #[test]
    fn a_character_is_one_and_a_lifetime_is_two() {
        check(Syntax::Rust, "<'a> 'b' '\\'' '\\n'", &["<", "'", "a", ">", "'b'", "'\\''", "'\\n'"]);
        check(Syntax::Rust, "#[x] &'static", &["#", "[", "x", "]", "&", "'", "static"]);
    }

    #[test]
    fn what_imports_counts_nothing() {
        let one = Count { tokens: 3, lines: 1 };
        assert_eq!(count("package a;\nimport b.C;\n\nx = 1", Syntax::Java), one);
        assert_eq!(count("import {\n  a,\n} from \"b\";\nx = 1", Syntax::Script), one);
        assert_eq!(count("use a::{\n    b,\n};\nx = 1", Syntax::Rust), one);
        assert_eq!(count("// d\nusing A.B;\nnamespace C;\nx = 1", Syntax::CSharp), one);
        assert_eq!(count("using var x = 1;", Syntax::CSharp), Count { tokens: 6, lines: 1 });
        assert_eq!(count("x.use(y)", Syntax::Rust), Count { tokens: 6, lines: 1 });
    }

    #[test]
    fn lines_are_those_in_which_something_that_counts_begins() {
        let program = "a\n\n// b\nc d\nuse e;\n/* f\n */ g\n\"h\ni\"\n";
        assert_eq!(count(program, Syntax::Rust), Count { tokens: 5, lines: 4 });
    }

    #[test]
    fn formatting_changes_nothing() {
        let (wide, tall) = ("f(a, b) { c }", "f(\n  a,\n  b\n)\n{\n  c\n}\n");
        for syntax in ALL {
            assert_eq!(count(wide, syntax).tokens, count(tall, syntax).tokens);
        }
    }
}
