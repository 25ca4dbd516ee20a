use std::path::PathBuf;

/// How a server is to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The TCP port on 127.0.0.1; `None` takes a free one.
    pub port: Option<u16>,
    /// Whether a commit survives a power cut. A throw-away server doesn't wait for the disk.
    pub durable: bool,
    /// Connections at once.
    pub max_connections: u16,
    /// Where it writes its log; `None` writes it beside the data directory.
    pub log: Option<PathBuf>,
    /// Further settings, as in `postgresql.conf`.
    pub extra: Vec<(String, String)>,
}

impl Settings {
    /// For data that is worth keeping.
    pub fn durable() -> Self {
        Self {
            port: None,
            durable: true,
            max_connections: 200,
            log: None,
            extra: Vec::new(),
        }
    }

    /// For tests: fast, many connections, nothing survives a power cut.
    pub fn throwaway() -> Self {
        Self {
            durable: false,
            max_connections: 300,
            ..Self::durable()
        }
    }

    /// As `postgres -c` takes them.
    pub(super) fn arguments(&self) -> Vec<(String, String)> {
        let mut all = vec![
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("unix_socket_directories", String::new()),
            ("max_connections", self.max_connections.to_string()),
            ("max_wal_size", "2GB".to_owned()),
            ("log_line_prefix", "%m [%p] %q%d ".to_owned()),
        ];
        if !self.durable {
            for name in ["fsync", "synchronous_commit", "full_page_writes"] {
                all.push((name, "off".to_owned()));
            }
        }
        let mut all: Vec<_> = all
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        all.extend(self.extra.iter().cloned());
        all
    }
}
