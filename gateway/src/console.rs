//! The staff console: the files of `web-console`, built into this binary, for every path that is no route.
//!
//! Files with a hash in their name never change; the page itself is asked for each time, at the price of a 304.
//! Compressed forms come with the build. A browser that asks for a page of the console gets the one page there is,
//! which finds its way by the path; whoever asks for something else gets the same 404 as ever.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// One file of the build.
#[derive(Debug)]
pub(crate) struct File {
    /// From `/` on.
    path: &'static str,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
    brotli: Option<&'static [u8]>,
}

/// What this binary was built with; empty without a console.
static BUILT_IN: &[File] = include!(concat!(env!("OUT_DIR"), "/console.rs"));

const PAGE: &str = "/index.html";
/// Names below this hold the hash of what they name.
const HASHED: &str = "/assets/";
/// What is never a page of the console.
const NOT_PAGES: [&str; 3] = ["/api/", "/assets/", "/.well-known/"];

/// Scripts are ours and no text becomes one (`vue` is the policy by which Vue writes the icons of the bundle); nothing
/// is loaded from or sent to another host; nobody puts the page into a frame. Nor does text become a style: what scripts
/// place, they place through the CSSOM.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types vue";

const SECURITY: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    ),
];

/// Whether a console is built in.
pub(crate) fn is_built_in() -> bool {
    !BUILT_IN.is_empty()
}

/// Answers what no route takes.
pub(crate) async fn fallback(request: Request) -> Response {
    answer(BUILT_IN, &request)
}

fn answer(files: &'static [File], request: &Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let (path, headers) = (request.uri().path(), request.headers());
    let find = |path: &str| files.iter().find(|file| file.path == path);
    if let Some(file) = find(path).filter(|file| file.path != PAGE) {
        return serve(file, headers);
    }
    let is_page = path == "/" || (wants_html(headers) && !NOT_PAGES.iter().any(|not| path.starts_with(not)));
    match find(PAGE) {
        Some(page) if is_page => serve(page, headers),
        None if path == "/" => (
            StatusCode::NOT_FOUND,
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            "This gateway was built without the staff console: `make dev` and `make console` build it in.\n",
        )
            .into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Only a browser that goes somewhere says so.
fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

fn serve(file: &'static File, headers: &HeaderMap) -> Response {
    let (body, encoding) = encoded(file, headers);
    let mut response = Body::from(Bytes::from_static(body)).into_response();
    let out = response.headers_mut();
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    for (name, value) in SECURITY {
        out.insert(name, HeaderValue::from_static(value));
    }
    if file.path.starts_with(HASHED) {
        let always = HeaderValue::from_static("public, max-age=31536000, immutable");
        out.insert(header::CACHE_CONTROL, always);
    } else {
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let tag = format!("\"{}\"", &hex::encode(Sha256::digest(body))[..32]);
        let known = headers
            .get(header::IF_NONE_MATCH)
            .and_then(|value| value.to_str().ok());
        let is_known = known.is_some_and(|known| {
            known
                .split(',')
                .any(|known| known.trim().trim_start_matches("W/") == tag)
        });
        if let Ok(tag) = HeaderValue::try_from(tag) {
            out.insert(header::ETAG, tag);
        }
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Body::empty();
            return response;
        }
    }
    let out = response.headers_mut();
    out.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(content_type(file.path)),
    );
    if let Some(encoding) = encoding {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// The smallest form that the browser takes.
fn encoded(file: &'static File, headers: &HeaderMap) -> (&'static [u8], Option<&'static str>) {
    let accepted = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let takes = |name: &str| {
        accepted.split(',').any(|part| {
            let mut parts = part.split(';').map(str::trim);
            parts.next() == Some(name) && !parts.any(|weight| weight == "q=0")
        })
    };
    match (file.brotli, file.gzip) {
        (Some(brotli), _) if takes("br") => (brotli, Some("br")),
        (_, Some(gzip)) if takes("gzip") => (gzip, Some("gzip")),
        _ => (file.plain, None),
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FILES: &[File] = &[
        File {
            path: "/assets/index-abc.js",
            plain: b"plain",
            gzip: Some(b"gzipped"),
            brotli: Some(b"br"),
        },
        File {
            path: "/favicon.svg",
            plain: b"<svg/>",
            gzip: None,
            brotli: None,
        },
        File {
            path: "/index.html",
            plain: b"<!doctype html>",
            gzip: None,
            brotli: None,
        },
    ];

    fn ask(path: &str, headers: &[(HeaderName, &str)]) -> Response {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        answer(FILES, &request.body(Body::empty()).unwrap())
    }

    fn text<'a>(response: &'a Response, name: &HeaderName) -> &'a str {
        response
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn hashed_files_are_kept_for_ever_and_come_in_the_smallest_form() {
        for (accepted, encoding) in [
            ("gzip, deflate, br, zstd", "br"),
            ("gzip;q=0.5, br;q=0", "gzip"),
            ("", ""),
        ] {
            let response = ask("/assets/index-abc.js", &[(header::ACCEPT_ENCODING, accepted)]);
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(text(&response, &header::CONTENT_ENCODING), encoding, "{accepted}");
            assert_eq!(
                text(&response, &header::CONTENT_TYPE),
                "text/javascript; charset=utf-8"
            );
            assert!(text(&response, &header::CACHE_CONTROL).contains("immutable"));
            assert_eq!(text(&response, &header::VARY), "accept-encoding");
        }
    }

    #[test]
    fn the_page_answers_every_place_of_the_console_and_costs_a_304() {
        let html = (header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8");
        for path in ["/", "/jobs", "/jobs/1", "/index.html"] {
            let response = ask(path, std::slice::from_ref(&html));
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(text(&response, &header::CONTENT_TYPE), "text/html; charset=utf-8");
            assert_eq!(text(&response, &header::CACHE_CONTROL), "no-cache");
            let tag = text(&response, &header::ETAG).to_owned();
            let again = ask(path, &[html.clone(), (header::IF_NONE_MATCH, &tag)]);
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        }
    }

    #[test]
    fn programs_get_no_page_where_nothing_is() {
        let html = (header::ACCEPT, "text/html");
        assert_eq!(ask("/nowhere", &[]).status(), StatusCode::NOT_FOUND);
        for path in ["/api/v1/nowhere", "/assets/gone-abc.js"] {
            assert_eq!(
                ask(path, std::slice::from_ref(&html)).status(),
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
        let post = Request::post("/").body(Body::empty()).unwrap();
        assert_eq!(answer(FILES, &post).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_page_runs_no_foreign_or_inline_script_and_stands_in_no_frame() {
        let response = ask("/", &[]);
        let policy = text(&response, &header::CONTENT_SECURITY_POLICY);
        for rule in [
            "default-src 'none'",
            "script-src 'self';",
            "style-src 'self';",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types vue",
        ] {
            assert!(policy.contains(rule), "{rule} in {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(text(&response, &header::REFERRER_POLICY), "same-origin");
    }

    #[test]
    fn without_a_console_the_root_says_so() {
        let request = Request::get("/").body(Body::empty()).unwrap();
        let response = answer(&[], &request);
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }

    /// What was built in is whole: the page, and every script and style that it names.
    #[test]
    fn what_the_page_names_is_built_in() {
        let Some(page) = BUILT_IN.iter().find(|file| file.path == PAGE) else {
            assert!(BUILT_IN.is_empty());
            return;
        };
        let page = std::str::from_utf8(page.plain).unwrap();
        let named: Vec<_> = page
            .split('"')
            .filter(|text| text.starts_with('/') && text.contains('.'))
            .collect();
        assert!(named.iter().any(|path| path.starts_with(HASHED)), "{page}");
        for path in named {
            assert!(BUILT_IN.iter().any(|file| file.path == path), "{path}");
        }
        assert!(
            !page.contains("<script>"),
            "no inline script: the policy forbids it"
        );
    }
}
