//! The agent's lines, as the kubelet keeps them.

use domain::port::PortError;
use futures::AsyncReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, LogParams};

use crate::calls::{call, port_error};
use crate::cluster::KubeCluster;
use crate::manifest::CONTAINER;

/// The agent's log from the beginning, at most `limit_bytes` of it.
pub(crate) async fn lines(
    cluster: &KubeCluster,
    namespace: &str,
    pod: &Pod,
    limit_bytes: i64,
) -> Result<Vec<String>, PortError> {
    let (name, phase) = (
        pod.name_any(),
        pod.status.as_ref().and_then(|status| status.phase.as_deref()),
    );
    let ended = matches!(phase, Some("Succeeded" | "Failed"));
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let params = LogParams {
        container: Some(CONTAINER.to_owned()),
        limit_bytes: Some(limit_bytes.max(1)),
        ..LogParams::default()
    };
    let read = async {
        let mut bytes = Vec::new();
        // The server may send somewhat more than it was asked for.
        let most = u64::try_from(limit_bytes.max(1)).unwrap_or(1);
        let mut log = pods.log_stream(&name, &params).await?.take(most);
        log.read_to_end(&mut bytes)
            .await
            .map_err(kube::Error::ReadEvents)?;
        Ok(bytes)
    };
    match call("log", cluster.request_timeout, read).await {
        Ok(bytes) => Ok(split(&bytes, ended)),
        // 400: the container hasn't begun. 404: the pod went in between.
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => Ok(Vec::new()),
        Err(error) => Err(port_error(&format!("the log of {namespace}/{name}"), &error)),
    }
}

/// The finished lines; the rest after the last line's end only if nothing more will come. What isn't UTF-8, and
/// the zero character that no database takes as text, become U+FFFD.
fn split(bytes: &[u8], ended: bool) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).replace('\0', "\u{FFFD}");
    let (finished, rest) = text
        .rsplit_once('\n')
        .map_or(("", text.as_str()), |(before, rest)| (before, rest));
    let mut lines: Vec<String> = if text.contains('\n') {
        finished
            .split('\n')
            .map(|line| line.trim_end_matches('\r').to_owned())
            .collect()
    } else {
        Vec::new()
    };
    if ended && !rest.is_empty() {
        lines.push(rest.trim_end_matches('\r').to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_bytes() {
        for (bytes, ended, expected) in [
            (&b""[..], true, &[][..]),
            (b"one\ntwo\n", false, &["one", "two"]),
            (b"one\r\n\ntwo", true, &["one", "", "two"]),
            (b"one\ntw", false, &["one"]),
            (b"on", false, &[]),
            (b"\n", false, &[""]),
            (b"a\xFFb\0c\n", false, &["a\u{FFFD}b\u{FFFD}c"]),
        ] {
            assert_eq!(split(bytes, ended), expected, "{bytes:?} {ended}");
        }
    }
}
