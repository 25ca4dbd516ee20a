//! Which ports `dev` listens on: the gateway's is what people type, so it is never another than asked for; the
//! others follow it, and give way where somebody is there already.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result};

/// The gateway's port, if it is free.
pub(super) fn gateway(port: u16) -> Result<SocketAddr> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    TcpListener::bind(address).with_context(|| {
        format!("can't listen on {address}: stop what listens there, or choose another port with --port")
    })?;
    Ok(address)
}

/// The port `nth` after the gateway's, or any free one.
pub(super) fn near(gateway: SocketAddr, nth: u16) -> Result<SocketAddr> {
    let wish = SocketAddr::new(gateway.ip(), gateway.port().saturating_add(nth));
    let listener = TcpListener::bind(wish).or_else(|_| TcpListener::bind((gateway.ip(), 0)));
    Ok(listener.context("no free port")?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_said_and_passed_by() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = taken.local_addr().unwrap();
        let error = gateway(address.port()).unwrap_err().to_string();
        assert!(
            error.contains("--port") && error.contains(&address.to_string()),
            "{error}"
        );
        let before = SocketAddr::new(address.ip(), address.port() - 1);
        assert_ne!(near(before, 1).unwrap(), address);
    }
}
