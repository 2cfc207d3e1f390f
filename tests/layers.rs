//! The rule of ARCHITECTURE.md: a module imports only from those above it, and the first four know no world.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What the modules that take bytes and time as arguments must not name.
const WORLD: [&str; 10] = [
    "tokio",
    "socket2",
    "rustix",
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "Instant::now",
    "SystemTime::now",
    ".elapsed()",
];

/// How many of the layers, from the top, are without world.
const PURE: usize = 4;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The layers in the order of the table in src/lib.rs.
fn layers() -> Vec<String> {
    let lib = fs::read_to_string(source().join("lib.rs")).unwrap();
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | [`")?.split('`').next());
    rows.map(str::to_owned).collect()
}

/// The files of a module, each with its text, without comments and tests.
fn files(module: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut directories = vec![source().join(module)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if !is_test_module(&path) {
                let text = code(&fs::read_to_string(&path).unwrap());
                found.push((path, text));
            }
        }
    }
    found
}

/// Whether its parent declares it behind `#[cfg(test)]`.
fn is_test_module(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let parent = fs::read_to_string(path.with_file_name("mod.rs")).unwrap_or_default();
    parent.contains(&format!("#[cfg(test)]\nmod {name};"))
}

/// Without comments, and without the tests, which stand at the end of a file.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules of this crate that a text names: `crate::rpc::Peer`, and `use crate::{xdr, rpc::{A, B}}`.
fn named(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        // `$crate` of a macro is this crate too; `some_crate::` is not.
        if text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(first_names(list)),
            None => names.extend(identifier(rest)),
        }
    }
    names
}

/// The first identifier of each item of a list, up to its closing brace.
fn first_names(list: &str) -> Vec<String> {
    let (mut names, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' | ',' if depth == 0 => {
                names.extend(identifier(list[start..at].trim_start()));
                if character == '}' {
                    break;
                }
                start = at + 1;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

#[test]
fn the_table_names_every_module_of_the_library() {
    let lib = fs::read_to_string(source().join("lib.rs")).unwrap();
    let declared = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let declared = declared.map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(layers().into_iter().collect::<BTreeSet<_>>(), declared);
}

#[test]
fn a_module_imports_only_from_those_above_it() {
    let layers = layers();
    let mut imports = 0;
    for (place, module) in layers.iter().enumerate() {
        for (path, text) in files(module) {
            for name in named(&text) {
                // What is no layer is a macro or an item of the root, of which there are none with imports.
                let Some(of) = layers.iter().position(|layer| *layer == name) else { continue };
                imports += 1;
                assert!(of <= place, "{} imports {name}, which stands below {module}", path.display());
            }
        }
    }
    assert!(imports > 20, "{imports} imports were looked at: does the search still find them?");
}

#[test]
fn the_first_modules_take_bytes_and_time_as_arguments() {
    for module in layers().iter().take(PURE) {
        let files = files(module);
        assert!(files.len() > 3, "{module}: {files:?}");
        for (path, text) in files {
            for word in WORLD {
                assert!(!text.contains(word), "{} names {word}", path.display());
            }
        }
    }
}

#[test]
fn imports_are_found_in_every_spelling() {
    let text = "use crate::{\n    rpc::{self, message::{A, B}},\n    xdr,\n};\nuse crate::volfile::Graph;\n\
        pub(in crate::client) fn f(x: crate::server::S) { other_crate::transport() }";
    assert_eq!(named(text).into_iter().collect::<Vec<_>>(), ["client", "rpc", "server", "volfile", "xdr"]);
    assert_eq!(code("a\n// tokio\n#[cfg(test)]\nmod tests {\n tokio\n}\n"), "a");
}
