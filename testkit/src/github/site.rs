//! A plain page of an issue and its comments, so that a person can look at what was written.

use super::world::{Comment, Issue, Repository};

/// Text as it may stand in HTML. Everything here is written by strangers.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// Without hidden comments (`<!-- ... -->`), as GitHub shows Markdown.
fn visible(body: &str) -> String {
    let mut shown = String::new();
    let mut rest = body;
    while let Some((before, hidden)) = rest.split_once("<!--") {
        shown.push_str(before);
        rest = hidden.split_once("-->").map_or("", |(_, after)| after);
    }
    shown.push_str(rest);
    shown.trim().to_owned()
}

fn comment(comment: &Comment) -> String {
    format!(
        "<article id=\"issuecomment-{}\"><h2>{} <small>{}</small></h2><pre>{}</pre></article>\n",
        comment.id,
        escaped(&comment.login),
        comment.updated_at.format("%Y-%m-%d %H:%M:%S UTC"),
        escaped(&visible(&comment.body)),
    )
}

/// The page.
pub(super) fn issue(repository: &Repository, issue: &Issue) -> String {
    let labels: Vec<String> = issue
        .labels
        .iter()
        .map(|label| format!(" <mark>{}</mark>", escaped(label)))
        .collect();
    let comments: Vec<String> = issue.comments.iter().map(comment).collect();
    let title = format!(
        "{} · Issue #{} · {}",
        issue.title, issue.number, repository.full_name
    );
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:50em;margin:2em auto;padding:0 1em}}\
         pre{{white-space:pre-wrap;background:#f6f8fa;padding:1em}}small{{color:#57606a}}h2{{font-size:1em}}</style>\
         </head><body><p>Simulated GitHub: {name}</p><h1>{heading} <small>#{number}</small></h1>\
         <p>{state}{labels}</p><pre>{body}</pre>\n{comments}</body></html>\n",
        title = escaped(&title),
        name = escaped(&repository.full_name),
        heading = escaped(&issue.title),
        number = issue.number,
        state = if issue.open { "Open" } else { "Closed" },
        labels = labels.concat(),
        body = escaped(&visible(&issue.body)),
        comments = comments.concat(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_stranger_becomes_html() {
        assert_eq!(
            escaped("<script>alert('x')&\"</script>"),
            "&lt;script&gt;alert(&#39;x&#39;)&amp;&quot;&lt;/script&gt;"
        );
    }

    #[test]
    fn hidden_comments_are_not_shown() {
        assert_eq!(visible("<!-- marker -->\nRun 1 <b>\n<!-- open"), "Run 1 <b>");
    }
}
