//! Standard error, for people.
#[allow(clippy::print_stderr)]
pub(crate) fn error(cause: &str, cure: Option<&str>) {
    eprintln!("error: {cause}");
    if let Some(c) = cure {
        eprintln!("help: {c}");
    }
}
