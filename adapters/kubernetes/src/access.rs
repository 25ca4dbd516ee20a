//! How to reach an API server, and as whom.

use std::path::PathBuf;
use std::time::Duration;

use domain::Secret;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// Where the API server is and how it is told who we are.
#[derive(Debug, Clone)]
pub enum Access {
    /// A kubeconfig file and its current context.
    Kubeconfig(PathBuf),
    /// The service account of the pod that we run in; its token is read again as it rotates.
    InCluster,
    /// An address and a bearer token.
    Token {
        /// `https://host:port`, or `http://` for a local one.
        url: String,
        /// The token.
        token: Secret<String>,
    },
}

/// The API server can't even be addressed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig is missing or wrong.
    #[error("the kubeconfig {path} can't be used: {source}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<KubeconfigError>,
    },
    /// We don't run in a pod, or it has no service account token.
    #[error("no service account of a pod: {0}; outside a cluster name a kubeconfig")]
    InCluster(#[from] kube::config::InClusterError),
    /// The address isn't one.
    #[error("`{0}` isn't an address of an API server like https://10.0.0.1:6443")]
    Url(String),
    /// The client library refuses.
    #[error("the Kubernetes client can't be made: {0}")]
    Client(#[source] Box<kube::Error>),
}

impl Access {
    /// Makes the client; asks nothing of the server yet.
    pub(crate) async fn client(&self, connect_timeout: Duration) -> Result<Client, ConnectError> {
        let mut config = match self {
            Self::Kubeconfig(path) => {
                let failed = |source| ConnectError::Kubeconfig {
                    path: path.clone(),
                    source: Box::new(source),
                };
                let file = Kubeconfig::read_from(path).map_err(failed)?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                    .await
                    .map_err(failed)?
            }
            Self::InCluster => Config::incluster()?,
            Self::Token { url, token } => {
                let address = url.parse().map_err(|_| ConnectError::Url(url.clone()))?;
                let mut config = Config::new(address);
                config.auth_info.token = Some(token.expose().clone().into());
                config
            }
        };
        config.connect_timeout = Some(connect_timeout);
        // A request that fails is for the job's own retry, which also survives us; and each try is to be counted.
        config.default_retry = false;
        Client::try_from(config).map_err(|error| ConnectError::Client(Box::new(error)))
    }
}
