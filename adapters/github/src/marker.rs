//! The hidden line that makes a comment ours: `<!-- codex-k8s ... -->`, first in the text. Nothing that comes from a
//! body can forge it, and the whole stays within what GitHub takes.

/// GitHub's limit of a comment's text, in characters.
pub(crate) const COMMENT_LIMIT: usize = 65_536;

const OWNER: &str = "codex-k8s";
const CUT: &str = "\n\n_(Cut here: the text was longer than GitHub allows.)_";

/// The marker has characters that could end the hidden line early, or is too long.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a comment's marker is 1 to 200 characters of A-Z a-z 0-9 . _ : / # - and space")]
pub(crate) struct InvalidMarker;

/// The hidden line for `marker`.
pub(crate) fn line(marker: &str) -> Result<String, InvalidMarker> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-_:/# ".contains(&b);
    if marker.is_empty() || marker.len() > 200 || !marker.bytes().all(allowed) {
        return Err(InvalidMarker);
    }
    Ok(if marker.starts_with(OWNER) {
        format!("<!-- {marker} -->")
    } else {
        format!("<!-- {OWNER} {marker} -->")
    })
}

/// The comment's whole text: the hidden line, then the body, cut where it must be.
pub(crate) fn text(line: &str, body: &str) -> String {
    let body = disarmed(body);
    let room = COMMENT_LIMIT - line.chars().count() - 1;
    if body.chars().count() <= room {
        return format!("{line}\n{body}");
    }
    let kept: String = body.chars().take(room - CUT.chars().count()).collect();
    format!("{line}\n{kept}{CUT}")
}

/// Whether GitHub has this text already; it may have changed line ends and outer white space.
pub(crate) fn same(ours: &str, theirs: &str) -> bool {
    ours.replace("\r\n", "\n").trim() == theirs.replace("\r\n", "\n").trim()
}

/// The body with every `<!-- codex-k8s` made visible, so that only we put markers into our comments.
fn disarmed(body: &str) -> String {
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some((before, after)) = rest.split_once("<!--") {
        out.push_str(before);
        let name = after.trim_start().get(..OWNER.len());
        let forged = name.is_some_and(|name| name.eq_ignore_ascii_case(OWNER));
        out.push_str(if forged { "&lt;!--" } else { "<!--" });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(line("run:7").as_deref(), Ok("<!-- codex-k8s run:7 -->"));
        assert_eq!(line("codex-k8s:run:7").as_deref(), Ok("<!-- codex-k8s:run:7 -->"));
        // A delivery's identifier, which ends up in markers, may have it; only `-->` ends the hidden line.
        assert_eq!(
            line("conflict:a--b").as_deref(),
            Ok("<!-- codex-k8s conflict:a--b -->")
        );
        for bad in ["", "a-->b", "a>b", "a\nb", "é", &"x".repeat(201)] {
            assert_eq!(line(bad), Err(InvalidMarker), "{bad:?}");
        }
    }

    #[test]
    fn a_body_forges_nothing() {
        for forged in [
            "<!-- codex-k8s run:8 -->",
            "<!--codex-k8s:x-->",
            "<!-- \t\nCODEX-K8S x",
            "<!-<!-- codex-k8s",
        ] {
            let text = text("<!-- codex-k8s run:7 -->", forged);
            let hidden = text.to_ascii_lowercase().matches("<!--").count();
            assert_eq!(hidden, 1, "{text}");
        }
        let harmless = "<!-- a note --> <!-- codéx -->";
        assert_eq!(text("m", harmless), format!("m\n{harmless}"));
    }

    #[test]
    fn stays_within_the_limit() {
        let fits = "é".repeat(COMMENT_LIMIT - 2);
        assert_eq!(text("m", &fits).chars().count(), COMMENT_LIMIT);
        let cut = text("m", &format!("{fits}x"));
        assert_eq!(cut.chars().count(), COMMENT_LIMIT);
        assert!(cut.ends_with(CUT));
    }

    #[test]
    fn sameness_forgives_what_github_changes() {
        assert!(same("m\na\n", "m\r\na"));
        assert!(!same("m\na", "m\nb"));
    }
}
