//! A part of a document that is made, not written: between two marks that name it.
//!
//! Apart because several documents have one: the promises (the ledger, the planted bugs), the
//! comparison of programs. Whoever makes a part says which document it stands in.

/// A made part.
pub(crate) struct Block {
    /// The document that has them, from the root.
    pub(crate) file: &'static str,
    /// What the marks call it.
    pub(crate) name: &'static str,
    /// What stands between them.
    pub(crate) content: String,
}

impl Block {
    /// The document that says what is promised.
    pub(crate) const GUARANTEES: &'static str = "docs/guarantees.md";

    fn marks(&self) -> (String, String) {
        let name = self.name;
        (format!("<!-- made: {name} -->\n"), format!("<!-- end: {name} -->\n"))
    }

    /// Whether the document has it as it is.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.put_into(text).is_ok_and(|same| same == text)
    }

    /// The document with it in the place of what was there.
    pub(crate) fn put_into(&self, text: &str) -> Result<String, String> {
        let (begin, end) = self.marks();
        let lacks = |mark: &str| format!("{} lacks the line `{}`", self.file, mark.trim_end());
        let (before, rest) = text.split_once(&begin).ok_or_else(|| lacks(&begin))?;
        let (_, after) = rest.split_once(&end).ok_or_else(|| lacks(&end))?;
        Ok(format!("{before}{begin}{}{end}{after}", self.content))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_takes_the_place_of_what_was_there_and_of_nothing_else() {
        let text = "a\n<!-- made: x -->\nold\n<!-- end: x -->\nb\n";
        let block = Block { file: "a.md", name: "x", content: "new\n".to_owned() };
        assert!(!block.is_in(text));
        let made = block.put_into(text).unwrap();
        assert_eq!(made, "a\n<!-- made: x -->\nnew\n<!-- end: x -->\nb\n");
        assert!(block.is_in(&made));
    }

    #[test]
    fn a_document_without_the_marks_is_an_error_that_names_them() {
        let block = Block { file: "a.md", name: "x", content: String::new() };
        let error = block.put_into("a\n").unwrap_err();
        assert_eq!(error, "a.md lacks the line `<!-- made: x -->`");
    }
}
