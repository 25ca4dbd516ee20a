//! W3C trace context, level 1: read from the caller or begun here, then passed on with the job.

use axum::http::HeaderMap;

/// The caller's `traceparent`, if there is exactly one and it is valid, else the beginning of a trace.
pub(crate) fn continue_or_begin(headers: &HeaderMap) -> String {
    let mut values = headers.get_all("traceparent").iter();
    match (
        values
            .next()
            .and_then(|value| value.to_str().ok())
            .and_then(parse),
        values.next(),
    ) {
        (Some(valid), None) => valid,
        _ => begin(),
    }
}

/// A later version than 00 may carry more: what version 00 knows of it is passed on.
fn parse(text: &str) -> Option<String> {
    let hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |part: &str| part.bytes().all(|b| b == b'0');
    let mut parts = text.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lengths = (version.len(), trace.len(), parent.len(), flags.len()) == (2, 32, 16, 2);
    let known = version != "00" || parts.next().is_none();
    let valid = lengths
        && known
        && version != "ff"
        && [version, trace, parent, flags].into_iter().all(hex)
        && !zero(trace)
        && !zero(parent);
    valid.then(|| format!("00-{trace}-{parent}-{flags}"))
}

/// A fresh, sampled trace.
fn begin() -> String {
    // All-zero ids are invalid; setting one bit rules them out.
    let trace = rand::random::<u128>() | 1;
    let parent = rand::random::<u64>() | 1;
    format!("00-{trace:032x}-{parent:016x}-01")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn what_is_valid() {
        let plain = format!("00-{TRACE}-b7ad6b7169203331-01");
        assert_eq!(parse(&plain), Some(plain.clone()));
        assert_eq!(
            parse(&format!("01-{TRACE}-b7ad6b7169203331-01-more")),
            Some(plain.clone())
        );
        for bad in [
            "",
            "00",
            &plain[..54],
            &format!("{plain}-more"),
            &plain.replace("00-", "ff-"),
            &plain.to_uppercase(),
            &plain.replace("b7ad6b7169203331", "0000000000000000"),
            &plain.replace(TRACE, &"0".repeat(32)),
            &plain.replace('-', "_"),
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn without_a_valid_one_a_trace_begins() {
        let plain = format!("00-{TRACE}-b7ad6b7169203331-00");
        let headers = |values: &[&str]| -> HeaderMap {
            values
                .iter()
                .map(|v| ("traceparent".parse().unwrap(), v.parse().unwrap()))
                .collect()
        };
        assert_eq!(continue_or_begin(&headers(&[&plain])), plain);
        for none in [&[][..], &["nonsense"], &[&plain, &plain]] {
            let begun = continue_or_begin(&headers(none));
            assert_ne!(begun, plain);
            assert_eq!(parse(&begun), Some(begun.clone()), "{begun}");
        }
    }
}
