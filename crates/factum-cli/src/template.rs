//! Templates: text that names columns in braces, such as `fine-{case:concept:name}`.
//!
//! `{{` and `}}` stand for the braces themselves. Pure; the columns come from the readers of
//! [`crate::input`].

use std::{fmt, str::FromStr};

/// A template, parsed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(String),
    Column(String),
}

/// A template that says nothing. The user has to correct it.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub(crate) enum TemplateError {
    /// A `{` without its `}`.
    #[error(
        "`{{` at character {at} has no `}}`: write `{{column}}`, or `{{{{` for the brace itself"
    )]
    Open {
        /// Where, from 1.
        at: usize,
    },
    /// A `}` without its `{`.
    #[error("`}}` at character {at} has no `{{`: write `}}}}` for the brace itself")]
    Close {
        /// Where, from 1.
        at: usize,
    },
    /// `{}`.
    #[error("`{{}}` at character {at} names no column: write `{{column}}`")]
    Empty {
        /// Where, from 1.
        at: usize,
    },
    /// Nothing at all.
    #[error("the template is empty: write text, or `{{column}}`")]
    Nothing,
}

/// A template that does not fit a record. The user has to name another column, or mend the file.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub(crate) enum ExpandError {
    /// There is no such column.
    #[error("there is no column `{column}`; there are: {known}")]
    Unknown {
        /// As the template has it.
        column: String,
        /// Those that there are, for people.
        known: String,
    },
    /// The column is there, and its cell is empty.
    #[error("column `{column}` is empty, and a name is made of it")]
    Empty {
        /// Which.
        column: String,
    },
}

/// What a template looks names up in.
pub(crate) trait Columns {
    /// The text in a column; empty text for an empty cell; `None` where there is no such column.
    fn get(&self, column: &str) -> Option<&str>;

    /// All names of columns, in order.
    fn names(&self) -> Vec<&str>;
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut parser = Parser { at: 0, chars: text.chars().peekable(), parts: Vec::new() };
        while parser.part()? {}
        if parser.parts.is_empty() {
            return Err(TemplateError::Nothing);
        }
        Ok(Self { text: text.to_owned(), parts: parser.parts })
    }
}

struct Parser<'a> {
    at: usize,
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    parts: Vec<Part>,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<char> {
        self.at += 1;
        self.chars.next()
    }

    /// Takes in the next character or column; `false` at the end.
    fn part(&mut self) -> Result<bool, TemplateError> {
        let Some(char) = self.next() else {
            return Ok(false);
        };
        let at = self.at;
        match (char, self.chars.peek()) {
            ('{', Some('{')) | ('}', Some('}')) => {
                self.next();
                self.push(char);
            }
            ('{', _) => {
                let column = self.column(at)?;
                self.parts.push(Part::Column(column));
            }
            ('}', _) => return Err(TemplateError::Close { at }),
            _ => self.push(char),
        }
        Ok(true)
    }

    fn column(&mut self, at: usize) -> Result<String, TemplateError> {
        let mut column = String::new();
        loop {
            match self.next() {
                None | Some('{') => return Err(TemplateError::Open { at }),
                Some('}') if column.is_empty() => return Err(TemplateError::Empty { at }),
                Some('}') => return Ok(column),
                Some(char) => column.push(char),
            }
        }
    }

    fn push(&mut self, char: char) {
        match self.parts.last_mut() {
            Some(Part::Text(text)) => text.push(char),
            _ => self.parts.push(Part::Text(char.into())),
        }
    }
}

impl Template {
    /// The names of all columns, as they stand.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Column(column) => Some(column.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Whether every column is there, whatever is in it.
    pub(crate) fn check(&self, columns: &impl Columns) -> Result<(), ExpandError> {
        self.columns().try_for_each(|column| lookup(column, columns).map(drop))
    }

    /// The text with every column filled in.
    pub(crate) fn expand(&self, columns: &impl Columns) -> Result<String, ExpandError> {
        let mut text = String::with_capacity(self.text.len());
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Column(column) => match lookup(column, columns)? {
                    "" => return Err(ExpandError::Empty { column: column.clone() }),
                    value => text.push_str(value),
                },
            }
        }
        Ok(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// The text in a column, or the error that lists those that there are.
pub(crate) fn lookup<'a>(column: &str, columns: &'a impl Columns) -> Result<&'a str, ExpandError> {
    // A column that holds objects is there, whatever this one holds.
    let holder = column.split_once('.').map(|(outer, _)| outer);
    let is_inner = || holder.is_some_and(|outer| columns.get(outer).is_some());
    columns.get(column).or_else(|| is_inner().then_some("")).ok_or_else(|| ExpandError::Unknown {
        column: column.to_owned(),
        known: listed(&columns.names()),
    })
}

/// How many names an error lists at most.
const LISTED_MAX: usize = 40;

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let mut list: Vec<String> = names.iter().take(LISTED_MAX).map(|n| format!("`{n}`")).collect();
    if names.len() > LISTED_MAX {
        list.push(format!("and {} more", names.len() - LISTED_MAX));
    }
    list.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row(Vec<(&'static str, &'static str)>);

    impl Columns for Row {
        fn get(&self, column: &str) -> Option<&str> {
            self.0.iter().find(|(name, _)| *name == column).map(|(_, value)| *value)
        }

        fn names(&self) -> Vec<&str> {
            self.0.iter().map(|(name, _)| *name).collect()
        }
    }

    fn row() -> Row {
        Row(vec![("case:concept:name", "A1"), ("a b", "x"), ("none", "")])
    }

    #[test]
    fn columns_are_filled_in_and_doubled_braces_are_braces() {
        for (template, text) in [
            ("fine-{case:concept:name}", "fine-A1"),
            ("{a b}{a b}", "xx"),
            ("{{{a b}}}", "{x}"),
            ("plain", "plain"),
            ("{{}}", "{}"),
            ("ü{a b}ü", "üxü"),
        ] {
            assert_eq!(Template::from_str(template).unwrap().expand(&row()).unwrap(), text);
        }
    }

    #[test]
    fn what_is_no_template_is_refused_with_its_place() {
        for (template, error) in [
            ("", TemplateError::Nothing),
            ("a{b", TemplateError::Open { at: 2 }),
            ("a{b{c}}", TemplateError::Open { at: 2 }),
            ("üb}", TemplateError::Close { at: 3 }),
            ("a{}", TemplateError::Empty { at: 2 }),
        ] {
            assert_eq!(Template::from_str(template), Err(error), "{template}");
        }
    }

    #[test]
    fn an_unknown_column_lists_the_known_ones() {
        let error = Template::from_str("{case}").unwrap().expand(&row()).unwrap_err();
        let known = "there is no column `case`; there are: `case:concept:name`, `a b`, `none`";
        assert_eq!(error.to_string(), known);
        assert_eq!(Template::from_str("{case}").unwrap().check(&row()), Err(error));
    }

    #[test]
    fn no_name_is_made_of_an_empty_cell() {
        let error = Template::from_str("x-{none}").unwrap().expand(&row());
        assert_eq!(error, Err(ExpandError::Empty { column: "none".into() }));
    }
}
