//! The modules of the library stand in rows, and each one looks only to its own row and up.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::rust::{code_of, has_word, paths_from};
use crate::support::{project, sources};

/// The table of design.md section 10. A new module is added here and in the module doc of `lib/src/lib.rs`.
const ROWS: &[(&str, &[&str])] = &[
    ("words", &["error", "id", "text", "signal", "status"]),
    ("meaning", &["record", "tree", "select", "program", "evidence"]),
    ("form", &["stream", "table"]),
    ("system", &["sys", "host", "source", "handle", "sockets", "cgroup", "stamp"]),
    (
        "behaviour",
        &[
            "snapshot",
            "pipeline",
            "registry",
            "zombies",
            "hung",
            "follow",
            "terminate",
            "health",
            "spawn",
            "session",
            "supervise",
            "wait",
        ],
    ),
];

/// Crates that one module of the library knows, and nobody else.
const KNOWN_TO_ONE: &[&str] = &["procfs", "sysinfo", "csv"];

/// The library: its modules by name, each the code of all its files.
fn modules() -> BTreeMap<String, String> {
    let mut modules: BTreeMap<String, String> = BTreeMap::new();
    for (path, source) in sources("lib/src", &[".rs"]) {
        let inner = path.strip_prefix("lib/src").expect("a file of the library");
        let first = inner.components().next().expect("a name").as_os_str().to_string_lossy();
        let name = first.strip_suffix(".rs").unwrap_or(&first).to_owned();
        modules.entry(name).or_default().push_str(&code_of(&source));
    }
    modules
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|(_, modules)| modules.contains(&module))
}

#[test]
fn a_module_imports_only_from_its_own_row_and_the_rows_above() {
    let mut wrong = Vec::new();
    for (module, code) in modules().iter().filter(|(name, _)| *name != "lib") {
        let Some(own) = row(module) else {
            wrong.push(format!("'{module}' stands in no row"));
            continue;
        };
        // `super` inside a module's own files names its parts; beyond them it reaches other modules.
        let parents =
            paths_from(code, "super").into_iter().filter(|name| row(name).is_some() && name != module);
        let used: BTreeSet<String> = paths_from(code, "crate").into_iter().chain(parents).collect();
        for name in used {
            match row(&name) {
                None => wrong.push(format!("'{module}' imports '{name}', which stands in no row")),
                Some(other) if other > own => {
                    wrong.push(format!("'{module}' ({}) imports '{name}' ({})", ROWS[own].0, ROWS[other].0));
                }
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_library_says_the_same_table_in_its_own_words() {
    let source = std::fs::read_to_string(project().join("lib/src/lib.rs")).expect("the library");
    let doc: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("//!")).collect();
    let words: Vec<Vec<&str>> = doc
        .iter()
        .map(|line| {
            line.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .filter(|w| !w.is_empty())
                .collect()
        })
        .collect();
    for (name, modules) in ROWS {
        let row: Vec<&str> = std::iter::once(name).chain(modules.iter()).copied().collect();
        assert!(words.contains(&row), "the module doc of lib/src/lib.rs has no line '{}'", row.join(" "));
    }
}

#[test]
fn unsafe_code_stands_in_one_module() {
    let unsafe_modules: Vec<_> =
        modules().into_iter().filter(|(_, code)| has_word(code, "unsafe")).map(|(name, _)| name).collect();
    assert!(unsafe_modules.iter().all(|name| name == "sys"), "{unsafe_modules:?}");
    for (path, source) in sources("tools", &[".rs"]) {
        assert!(!has_word(&code_of(&source), "unsafe"), "{}", path.display());
    }
}

#[test]
fn each_of_the_chosen_crates_is_known_to_one_module() {
    for name in KNOWN_TO_ONE {
        let users: Vec<_> = modules()
            .into_iter()
            .filter(|(_, code)| has_word(code, name))
            .map(|(module, _)| module)
            .collect();
        assert!(users.len() <= 1, "{name} is named in {users:?}");
        for (path, source) in sources("tools", &[".rs"]) {
            assert!(!has_word(&code_of(&source), name), "{name} is named in {}", path.display());
        }
    }
}

#[test]
fn the_library_neither_prints_nor_exits_nor_reads_arguments() {
    // Unit tests with a file of their own are called `tests`, and so is the folder of their parts.
    let of_tests = |path: &std::path::Path| path.iter().any(|name| name == "tests" || name == "tests.rs");
    for (path, source) in sources("lib/src", &[".rs"]).into_iter().filter(|(path, _)| !of_tests(path)) {
        let code = code_of(&source);
        // Unit tests stand at the end of a file, and may look at what the test was called with.
        let code = code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for word in ["println", "eprintln", "print", "eprint", "stdout", "stderr", "clap", "lexopt"] {
            assert!(!has_word(code, word), "'{word}' in {}", path.display());
        }
        for path_end in ["process::exit", "env::args", "is_terminal"] {
            assert!(!code.contains(path_end), "'{path_end}' in {}", path.display());
        }
    }
    let manifest = std::fs::read_to_string(project().join("lib/Cargo.toml")).expect("the manifest");
    assert!(!manifest.contains("clap") && !manifest.contains("lexopt"));
}

#[test]
fn a_tool_is_three_lines_and_a_module() {
    for (path, source) in sources("tools/bin", &[".rs"]) {
        let lines = code_of(&source).lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= 5, "{} has {lines} lines of code", path.display());
    }
}
