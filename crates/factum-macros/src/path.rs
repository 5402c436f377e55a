//! Where the framework is, seen from the crate that uses a macro.

use proc_macro2::TokenStream;
use quote::quote;
use std::{env, fs, path::Path};

/// `::factum_app` for who depends on it directly, `::factum::app` for who depends on the facade.
pub(crate) fn framework() -> TokenStream {
    let manifest = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let manifest = fs::read_to_string(Path::new(&manifest).join("Cargo.toml"));
    let names_it = |line: &str| {
        let line = line.trim_start();
        // `factum-app = …`, or a table of its own: `[dependencies.factum-app]`.
        line.starts_with("factum-app") || line.ends_with("dependencies.factum-app]")
    };
    let directly = manifest
        .is_ok_and(|text| text.lines().any(names_it) || text.contains("name = \"factum-app\""));
    if directly { quote!(::factum_app) } else { quote!(::factum::app) }
}
