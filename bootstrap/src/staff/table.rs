//! Tables and values for people.

use std::fmt::Write;

use serde_json::Value;

/// A cell's text: `-` for nothing; what others wrote can't reach the terminal as control characters.
pub(crate) fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return "-".to_owned(),
        Value::String(text) => time(text).unwrap_or_else(|| text.clone()),
        other => other.to_string(),
    };
    printable(&text)
}

/// Without control characters (line ends become spaces).
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A point in time to the second.
fn time(text: &str) -> Option<String> {
    let at = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(at.to_utc().format("%Y-%m-%d %H:%M:%S").to_string())
}

/// A table of the page's items: (heading, member) per column. Says what to do for the next page.
pub(crate) fn page(page: &Value, columns: &[(&str, &str)]) -> String {
    let items = page
        .get("items")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let mut text = if items.is_empty() {
        "nothing\n".to_owned()
    } else {
        rows(items, columns)
    };
    if let Some(next) = page.get("next").and_then(Value::as_str) {
        text.push_str("there is more: --before ");
        text.push_str(next);
        text.push('\n');
    }
    text
}

/// A table of these items.
pub(crate) fn rows(items: &[Value], columns: &[(&str, &str)]) -> String {
    let heading: Vec<String> = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    let body = items.iter().map(|item| {
        columns
            .iter()
            .map(|(_, member)| shortened(&cell(item.get(member).unwrap_or(&Value::Null))))
            .collect()
    });
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(body).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in lines {
        let padded = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// One thing whole: a line per member, except those in `but`.
pub(crate) fn members(thing: &Value, but: &[&str]) -> String {
    let Some(members) = thing.as_object() else {
        return String::new();
    };
    let shown: Vec<(&String, String)> = members
        .iter()
        .filter(|(name, value)| !but.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| (name, cell(value)))
        .collect();
    let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in shown {
        let _ = writeln!(text, "{name:<width$}  {value}");
    }
    text
}

fn shortened(text: &str) -> String {
    const WIDEST: usize = 60;
    if text.chars().count() <= WIDEST {
        return text.to_owned();
    }
    let kept: String = text.chars().take(WIDEST - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_for_people() {
        let columns = [("ID", "id"), ("KIND", "kind"), ("WHEN", "at"), ("ERROR", "error")];
        let answer = json!({
            "items": [
                { "id": 12, "kind": "run.start", "at": "2026-01-02T03:04:05.678Z", "error": "a\u{1b}[31m\nb" },
                { "id": 3, "kind": "x", "at": null },
            ],
            "next": "abc",
        });
        let expected = "ID  KIND       WHEN                 ERROR\n\
                        12  run.start  2026-01-02 03:04:05  a [31m b\n\
                        3   x          -                    -\n\
                        there is more: --before abc\n";
        assert_eq!(page(&answer, &columns), expected);
        assert_eq!(page(&json!({ "items": [], "next": null }), &columns), "nothing\n");
    }

    #[test]
    fn a_thing_for_people() {
        let thing = json!({ "id": 1, "namespace": null, "status": "running", "events": [] });
        assert_eq!(members(&thing, &["events"]), "id      1\nstatus  running\n");
        assert_eq!(shortened(&"x".repeat(61)).chars().count(), 60);
    }
}
