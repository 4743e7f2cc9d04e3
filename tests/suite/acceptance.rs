//! The acceptance list: which of its rows a test proves.
//!
//! `cargo test --test suite acceptance::report -- --nocapture` prints the rows that no test names yet.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{project, sources};

/// The comment above a test that names the rows that would fail without it.
const PROVES: &str = "// proves: ";

struct Row {
    id: String,
    must_have: String,
    tool: String,
}

/// The rows of `tests/acceptance.tsv`, in their order.
fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(project().join("tests/acceptance.tsv")).expect("the list");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [id, must_have, tool] = cells[..] else { panic!("not three columns: {line:?}") };
        Row { id: id.into(), must_have: must_have.into(), tool: tool.into() }
    };
    text.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

/// The rows that tests name, each with those tests; and what is wrong with the comments.
fn proofs() -> (BTreeMap<String, Vec<String>>, Vec<String>) {
    let (mut proofs, mut wrong) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
    for (path, source) in ["tests", "tools", "lib/src"].iter().flat_map(|folder| sources(folder, &[".rs"])) {
        let lines: Vec<&str> = source.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(ids) = line.strip_prefix(PROVES) else { continue };
            let place = format!("{}:{}", path.display(), at + 1);
            // The attribute that makes it a test, and other comments, may stand above or below this one.
            let is_head = |line: &&&str| line.starts_with("//") || line.starts_with("#[");
            let above = lines[..at].iter().rev().take_while(is_head);
            let below = lines[at + 1..].iter().take_while(is_head);
            let is_test = above.chain(below.clone()).any(|line| *line == "#[test]");
            let first = lines.get(at + 1 + below.count()).and_then(|line| line.strip_prefix("fn "));
            let Some(test) = first.filter(|_| is_test) else {
                wrong.push(format!("{place}: there is no test below it"));
                continue;
            };
            let test = test.split('(').next().unwrap_or(test);
            for id in ids.split_whitespace() {
                proofs.entry(id.to_owned()).or_default().push(format!("{place} {test}"));
            }
        }
    }
    (proofs, wrong)
}

#[test]
fn every_row_that_a_test_names_exists() {
    let known: BTreeSet<String> = rows().into_iter().map(|row| row.id).collect();
    let (proofs, mut wrong) = proofs();
    for (id, tests) in proofs.iter().filter(|(id, _)| !known.contains(*id)) {
        wrong.push(format!("there is no row {id}, which {tests:?} name"));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_list_is_whole() {
    let rows = rows();
    let ids: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!((rows.len(), ids.len()), (199, 199));
    let count = |source: char| rows.iter().filter(|row| row.id.starts_with(source)).count();
    assert_eq!(['P', 'M', 'S', 'W', 'R'].map(count), [43, 40, 39, 56, 21]);
    assert!(rows.iter().all(|row| !row.must_have.is_empty() && !row.tool.is_empty()));
}

/// Prints the state of the list: for people, and for `make acceptance`.
#[test]
#[allow(clippy::print_stdout, reason = "the report is what this is for; cargo shows it when it is asked to")]
fn report() {
    let (rows, (proofs, _)) = (rows(), proofs());
    let open: Vec<&Row> = rows.iter().filter(|row| !proofs.contains_key(&row.id)).collect();
    println!();
    for row in &open {
        println!("no test  {}  {}: {}", row.id, row.tool, row.must_have);
    }
    println!("{} of {} rows have a test, {} have none", rows.len() - open.len(), rows.len(), open.len());
}
