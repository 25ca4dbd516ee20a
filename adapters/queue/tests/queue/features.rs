//! The feature table of `docs/queue.md` names the tests that prove it: all of them exist.

use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../../../docs/queue.md");

/// What stands between backticks in the second column of the table, row by row.
fn rows() -> Vec<(String, Vec<String>)> {
    let (_, table) = PAGE.split_once("\n| feature | tests |\n|---|---|\n").unwrap();
    table
        .lines()
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let (feature, tests) = line.trim_matches('|').split_once('|').unwrap();
            let quoted = tests.split('`').skip(1).step_by(2);
            let tests = quoted.filter(|text| text.contains("::"));
            (feature.trim().to_owned(), tests.map(str::to_owned).collect())
        })
        .collect()
}

/// The files in which `topic::nested::name` may be: a topic of these tests, or a module of the library.
fn files(modules: &[&str]) -> [PathBuf; 2] {
    ["tests/queue", "src"].map(|folder| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        folder.join(modules.join("/")).with_extension("rs")
    })
}

/// Whether the text has a test function of this name, and not one that merely is called like it. A test
/// within `proptest!` counts too.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declared = lines.iter().position(|line| {
        let line = line.trim_start_matches("async ");
        line.strip_prefix("fn ")
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with('('))
    });
    declared.is_some_and(|at| {
        lines[..at]
            .iter()
            .rev()
            .take_while(|line| !line.is_empty() && **line != "}")
            .any(|line| *line == "#[test]" || line.starts_with("#[tokio::test"))
    })
}

#[test]
fn every_test_that_the_feature_table_names_exists() {
    let rows = rows();
    assert!(
        rows.len() > 40,
        "the table was not found whole: {} rows",
        rows.len()
    );
    let mut missing = Vec::new();
    for (feature, tests) in &rows {
        if tests.is_empty() {
            missing.push(format!("{feature}: no test"));
        }
        for test in tests {
            let mut modules: Vec<&str> = test.split("::").collect();
            let name = modules.pop().unwrap();
            let exists = files(&modules)
                .iter()
                .filter_map(|file| std::fs::read_to_string(file).ok())
                .any(|text| has_test(&text, name));
            if !exists {
                missing.push(format!("{feature}: {test}"));
            }
        }
    }
    assert!(missing.is_empty(), "no such test:\n{}", missing.join("\n"));
}
