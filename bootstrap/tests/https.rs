//! The staff commands over HTTPS, against a socket with a certificate that only `SSL_CERT_FILE` vouches for.

#![allow(clippy::unwrap_used, reason = "a test that can't go on ends")]

use std::process::Output;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls");
const LIST: &str = r#"{"items":[{"id":7,"project":"demo"}],"next":null}"#;

/// Answers one request after the other with a list of runs, and hands out what was asked.
async fn gateway() -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let chain = CertificateDer::pem_file_iter(format!("{FOLDER}/server.pem")).unwrap();
    let chain: Vec<_> = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(format!("{FOLDER}/server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // Who doesn't trust us hangs up here.
            let Ok(mut stream) = acceptor.accept(socket).await else {
                continue;
            };
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{LIST}",
                LIST.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            tell.send(String::from_utf8(request).unwrap()).unwrap();
        }
    });
    (port, told)
}

async fn list(port: u16, certificates: &str) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_codex-k8s"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CODEX_K8S_")) {
        command.env_remove(name);
    }
    command
        .args(["runs", "list", "--project", "a demo", "--json"])
        .env("CODEX_K8S_URL", format!("https://localhost:{port}/"))
        .env("CODEX_K8S_STAFF_TOKEN", "a staff token")
        .env("SSL_CERT_FILE", certificates)
        .env_remove("SSL_CERT_DIR");
    command.output().await.unwrap()
}

#[tokio::test]
async fn the_gateway_is_asked_over_https_if_it_proves_itself() {
    let (port, mut told) = gateway().await;
    let output = list(port, &format!("{FOLDER}/ca.pem")).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"demo\""));
    let request = told.recv().await.unwrap();
    assert!(
        request.starts_with("GET /api/v1/staff/runs?project=a+demo&limit=50 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("authorization: Bearer a staff token\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn a_gateway_that_nobody_vouches_for_gets_no_token() {
    let (port, mut told) = gateway().await;
    // A certificate, but not the one that signed the gateway's.
    let output = list(port, &format!("{FOLDER}/server.pem")).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        errors.contains("certificate isn't trusted here") && errors.contains("SSL_CERT_FILE"),
        "{errors}"
    );
    assert!(told.try_recv().is_err(), "it was asked all the same");
}
