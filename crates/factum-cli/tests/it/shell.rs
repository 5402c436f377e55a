//! Being a good citizen of the shell: help, completions, man pages, pipes.

use super::support::Place;
use std::{
    io::Read,
    process::{Command, Stdio},
};

#[test]
fn help_tells_every_command_and_every_exit_code() {
    let place = Place::new();
    let help = place.run(&["--help"]).ok();
    for word in [
        "append",
        "read",
        "tail",
        "delete",
        "meta",
        "stats",
        "import",
        "export",
        "dev",
        "serve",
        "completions",
        "man",
        "--at",
        "FACTUM_URL",
        "Exit codes:",
    ] {
        assert!(help.contains(word), "{word} is not in {help}");
    }
    assert!(place.run(&["--version"]).ok().starts_with("factum 0.1.0"));
    assert_eq!(place.run(&[]).code, 2);
}

#[test]
fn completions_and_man_pages_are_made() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = place.run(&["completions", shell]).ok();
        assert!(text.contains("occurred-as-of"), "{shell}: {text}");
    }
    assert!(place.run(&["man", "pages"]).ok().contains("man pages/factum.1"));
    let page = std::fs::read_to_string(place.path("pages/factum-import.1")).unwrap();
    assert!(page.contains("time\\-zone"), "{page}");
    place.write("file", "");
    place.run(&["man", "file"]).fails(1, &["cannot write into file", "help: "]);
}

#[test]
fn bash_can_load_the_completions() {
    let place = Place::new();
    let text = place.run(&["completions", "bash"]).ok();
    match Command::new("bash").args(["-n", "-c", &text]).status() {
        Ok(status) => assert!(status.success()),
        Err(error) => {
            super::support::skipped("bash_can_load_the_completions", &error.to_string());
        }
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let place = Place::new();
    let data = format!("\"{}\"", "x".repeat(100_000));
    (0..10).for_each(|_| place.append("a-1", "t", &data));
    for command in ["read a-1", "read a-1 --json", "export", "tail a-1 --from start"] {
        let args: Vec<&str> = command.split(' ').collect();
        let mut child =
            place.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 10]).unwrap();
        drop(out);
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((super::support::wait(&mut child), said.as_str()), (0, ""), "{command}");
    }
}

#[test]
fn in_a_pipe_there_is_no_colour_and_no_progress_bar() {
    let place = Place::new();
    place.write("a.csv", "n\n1\n");
    let ran = place.run(&["import", "a.csv", "--stream", "a", "--type", "t"]);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("1 new, 0 already there\n", ""));
    assert!(!place.run(&["read", "a"]).ok().contains('\x1b'));
    assert!(!place.run(&["read", "b"]).err.contains('\x1b'));
}

#[test]
fn what_would_steer_a_terminal_is_shown_as_text() {
    let place = Place::new();
    place.append("a\u{1b}[2J", "t\u{7}", "{}");
    let line = place.run(&["read", "--all"]).ok();
    assert!(line.contains("a\\u{1b}[2J@0") && !line.contains('\u{7}'), "{line}");
}
