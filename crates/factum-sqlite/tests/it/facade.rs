//! The facade opens this store by URL, and says what is wrong with one.

use crate::support::{stream, to};
use factum::{OpenError, Read, blocking};

#[test]
fn a_url_names_a_file_which_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.db");
    for (url, id) in [("sqlite:", 1), ("sqlite://", 2)] {
        let store = blocking::open(&format!("{url}{}", path.display())).unwrap();
        store.append(to("a-1", [id])).unwrap();
        assert_eq!(store.read(Read::stream(stream("a-1"))).unwrap().count() as u128, id);
    }
}

#[test]
fn a_store_in_memory_is_a_new_one_each_time() {
    for _ in 0..2 {
        let store = blocking::open("sqlite::memory:").unwrap();
        assert_eq!(store.append(to("a-1", [1])).unwrap().position.0, 1);
    }
}

#[test]
fn what_cannot_be_opened_says_what_can() {
    for url in ["sqlite:", "sqlite://"] {
        let error = blocking::open(url).unwrap_err();
        assert!(matches!(error, OpenError::NoFile { .. }), "{error:?}");
        assert!(error.to_string().contains("write sqlite:./app.db"), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent/app.db");
    let error = blocking::open(&format!("sqlite:{}", absent.display())).unwrap_err();
    assert!(matches!(error, OpenError::Sqlite(_)), "{error:?}");
    assert!(error.to_string().contains("folder must exist"), "{error}");
}
