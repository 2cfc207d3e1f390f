//! `kadalu csi`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, ValueEnum};
use glusterd_client::{
    csi::{
        controller::{self, Controller},
        identity::{DriverName, Identity},
        node::{self, Node},
        operations::Operations,
        server::{Endpoint, Services, serve},
    },
    mount::{
        self, Host,
        control::{Client, Mounts},
        helper::Helper,
        metrics,
    },
    storage::{known::Known, record::QuotaPolicy},
    transport::{Listener, ServerAddress},
};
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{
    Exit, Failure,
    mountd::{Signals, notify, private_directory},
    servers::{Reaching, seconds},
    volfile_server::{listen_address, listen_at, raise_open_files},
};

/// Serve Kubernetes: make PVs on Gluster volumes, and mount them where pods run
///
/// The driver of the Container Storage Interface, versions 1.0 to 1.13, on a socket for its sidecars and the kubelet. It
/// may be killed, restarted and upgraded: what was begun is completed by the retry, and with --mountd no mount notices.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Csi {
    /// Where to listen: unix:///DIRECTORY/NAME.sock; without it, what CSI_ENDPOINT says
    #[arg(long, env = "KADALU_ENDPOINT", value_name = "ENDPOINT")]
    endpoint: Option<Endpoint>,
    /// Which services: those of the controller, those of a node, or both
    #[arg(long, env = "KADALU_MODE", value_name = "MODE", default_value = "all")]
    mode: Mode,
    /// By which the cluster knows this node; needed by all modes but controller
    #[arg(long, env = "KADALU_NODE_ID", value_name = "ID")]
    node_id: Option<String>,
    /// What must survive a restart; no two share one
    #[arg(long, env = "KADALU_STATE_DIR", value_name = "DIR", default_value = "/var/lib/kadalu/csi")]
    state_dir: PathBuf,
    /// The socket of the kadalu mountd that mounts; without it this process does, and its mounts are healed while it runs
    #[arg(long, env = "KADALU_MOUNTD", value_name = "unix:/PATH", value_parser = socket)]
    mountd: Option<PathBuf>,
    /// The name of the driver, which PVs carry for ever
    #[arg(long, env = "KADALU_DRIVER_NAME", value_name = "NAME", default_value_t)]
    driver_name: DriverName,
    /// Storages by name, and pools to look for PVs in: a file of KadaluStorage objects, or a directory of such files (*.yaml,
    /// *.yml) and of kadalu's NAME.info, as its ConfigMap is mounted; changes are seen
    #[arg(long, env = "KADALU_STORAGES", value_name = "PATH")]
    storages: Option<PathBuf>,
    /// For PVs whose StorageClass does not say it: required, best-effort or off
    #[arg(long, env = "KADALU_QUOTA", value_name = "POLICY", default_value = "best-effort")]
    quota: QuotaPolicy,
    /// Seconds that a call waits until every brick enforces the size of a PV whose quota is required; the next try goes on
    #[arg(long, env = "KADALU_QUOTA_WAIT", value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    quota_wait: Duration,
    #[arg(long, env = "KADALU_METRICS", value_name = "ADDR", value_parser = listen_address, help = METRICS)]
    metrics: Option<ServerAddress>,
    /// The glusterfs to run, a path or a name
    #[arg(long, env = "KADALU_GLUSTERFS", value_name = "PROGRAM", conflicts_with = "mountd")]
    glusterfs: Option<PathBuf>,
    #[command(flatten)]
    reaching: Reaching,
}

/// No doc comment: its brackets would be links.
const METRICS: &str = "Where to answer GET /metrics and GET /healthz about the mounts: host:port or [IPv6]:port, port 0 is any free one";

const EXAMPLES: &str = "Examples:\n  \
    kadalu csi --endpoint unix:///csi/csi.sock --mode controller                 in the controller's pod\n  \
    kadalu csi --endpoint unix:///csi/csi.sock --mode node --node-id n1 --mountd unix:/run/kadalu/mountd.sock\n  \
    kadalu csi --endpoint unix:///tmp/csi.sock --node-id me --state-dir ./state  all in one, to try it\n\n\
    Kubernetes manifests: deploy/kubernetes. Exit codes: see kadalu --help.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Volumes are used
    Node,
    /// Volumes are made
    Controller,
    /// Both
    All,
}

impl Csi {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        raise_open_files();
        let mut signals = Signals::new()?;
        let endpoint = self.endpoint()?;
        if self.node_id.is_none() && self.mode != Mode::Controller {
            return Err(Failure::new(
                Exit::Usage,
                "give --node-id, the name of this node, or --mode controller",
            ));
        }
        private_directory(&self.state_dir)?;
        let listener = endpoint
            .listen()
            .map_err(|error| Failure::other(format_args!("cannot listen on {endpoint}"), error))?;
        info!(target: "kadalu", %endpoint, mode = ?self.mode, driver = %self.driver_name, "listening");
        match &self.mountd {
            Some(socket) => {
                // It may come up later: until then the driver is not ready, and says why.
                let mounts = Client::lazy(socket);
                self.serve(mounts, listener, &mut signals).await
            }
            None => {
                let host = Host::start(self.host()?).await?;
                let served = self.serve(host.clone(), listener, &mut signals).await;
                host.stop(false).await;
                served
            }
        }
    }

    /// Serves until a signal.
    async fn serve(
        &self,
        mounts: impl Mounts,
        listener: Listener,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        let known = Arc::new(Known::open(&self.state_dir, self.storages.as_deref())?);
        let controller = match self.mode {
            Mode::Node => None,
            Mode::Controller | Mode::All => {
                let mut config = controller::Config::new(&self.state_dir);
                (config.client, config.quota) = (self.reaching.options()?, self.quota);
                config.quota_wait = self.quota_wait;
                Some(Controller::start(config, known.clone(), mounts.clone())?)
            }
        };
        let node = match self.mode {
            Mode::Controller => None,
            Mode::Node | Mode::All => {
                let node_id = self.node_id.clone().unwrap_or_default();
                let (state_dir, helper) = (self.state_dir.clone(), Helper::default());
                let client = self.reaching.options()?;
                let config = node::Config { node_id, state_dir, helper, client };
                Some(Node::start(config, known, mounts.clone(), Operations::default()).await?)
            }
        };
        if let Some(listener) = listen_at(self.metrics.as_ref()).await? {
            let address = listener.local_addr().map(|address| address.to_string());
            info!(target: "kadalu", address, "metrics");
            tokio::spawn(metrics::serve(listener, mounts.clone()));
        }
        let services =
            Services { identity: Identity::new(self.driver_name.clone(), mounts), controller, node };
        let stop = CancellationToken::new();
        let serving = serve(services, listener, stop.clone().cancelled_owned());
        tokio::pin!(serving);
        notify(NotifyState::Ready);
        let failed = |error| Failure::other("the CSI socket", error);
        tokio::select! {
            ended = &mut serving => return ended.map_err(failed),
            name = signals.next() => info!(target: "kadalu", signal = name, "stopping"),
        }
        notify(NotifyState::Stopping);
        stop.cancel();
        serving.await.map_err(failed)
    }

    fn endpoint(&self) -> Result<Endpoint, Failure> {
        let said = self.endpoint.clone().map(Ok);
        let of_orchestrator = || Some(std::env::var("CSI_ENDPOINT").ok()?.parse::<Endpoint>());
        match said.or_else(of_orchestrator) {
            Some(endpoint) => endpoint.map_err(|error| Failure::new(Exit::Usage, error)),
            None => {
                Err(Failure::new(Exit::Usage, "give --endpoint unix:///DIRECTORY/NAME.sock, or CSI_ENDPOINT"))
            }
        }
    }

    fn host(&self) -> Result<mount::Config, Failure> {
        // Apart from ours: both have a directory `pools`.
        let defaults = mount::Config::new(self.state_dir.join("mountd"));
        let glusterfs = self.glusterfs.clone().unwrap_or(defaults.glusterfs);
        Ok(mount::Config { glusterfs, client: self.reaching.options()?, ..defaults })
    }
}

/// The path of a socket, with or without `unix:` before it.
fn socket(text: &str) -> Result<PathBuf, String> {
    let path = text.strip_prefix("unix:").unwrap_or(text);
    let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
    if path.is_absolute() { Ok(path) } else { Err("an absolute path is wanted: unix:/PATH".to_owned()) }
}
