//! `kadalu operator`.

use std::{path::Path, time::Duration};

use clap::{Args, ValueEnum};
use glusterd_client::{
    csi::{identity::DriverName, server::Endpoint},
    operator::{
        self, Options,
        driver::Csi,
        election::Times,
        probe::FromHere,
        world::{ClassNames, Settings},
    },
    transport::{Listener, ServerAddress},
};
use kube::{Client, Config};
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{
    Exit, Failure,
    mountd::{Signals, notify},
    servers::{Reaching, seconds},
    volfile_server::{listen_address, listen_at},
};

/// Make storage classes of KadaluStorage objects, and say in their status how each volume is
///
/// One of several works, by a lease. It may be killed, restarted and upgraded: it keeps nothing but what stands in the API.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Operator {
    /// Where the driver and the ConfigMap kadalu-info are; without it that of the pod, else that of the kubeconfig
    #[arg(long, env = "KADALU_NAMESPACE", value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The socket of the driver's controller, which is asked whether sizes are enforced; without it nobody is asked
    #[arg(long, env = "KADALU_CSI", value_name = "ENDPOINT")]
    csi: Option<Endpoint>,
    /// Which storage classes are made
    #[arg(long, env = "KADALU_CLASS_NAMES", value_name = "WHICH", default_value = "both")]
    class_names: Names,
    /// Seconds between two looks at a volume
    #[arg(long, env = "KADALU_CHECK_INTERVAL", value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    check_interval: Duration,
    #[arg(long, env = "KADALU_METRICS_ADDRESS", value_name = "ADDR", value_parser = listen_address, help = METRICS)]
    metrics_address: Option<ServerAddress>,
    /// The name of the driver, as in kadalu csi
    #[arg(long, env = "KADALU_DRIVER_NAME", value_name = "NAME", default_value_t)]
    driver_name: DriverName,
    #[command(flatten)]
    reaching: Reaching,
}

/// No doc comment: its brackets would be links.
const METRICS: &str =
    "Where to answer GET /metrics and GET /healthz: host:port or [IPv6]:port, port 0 is any free one";

const EXAMPLES: &str = "Examples:\n  \
    kadalu operator --csi unix:///csi/csi.sock --metrics-address [::]:9764  in the controller's pod\n  \
    kadalu operator --namespace kadalu --class-names rfc                    from a machine with a kubeconfig, to try it\n\n\
    Kubernetes manifests: deploy/kubernetes. Exit codes: see kadalu --help.";

/// Of the pod, as Kubernetes mounts it.
const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Names {
    /// kadalu.external.NAME
    Rfc,
    /// kadalu.NAME
    Kadalu,
    /// Both
    Both,
}

impl Operator {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut signals = Signals::new()?;
        let config = Config::infer().await.map_err(|error| {
            let advice = "run it in a pod with a service account, or with KUBECONFIG";
            Failure::new(
                Exit::Machine,
                format_args!("there is no way to the API of Kubernetes: {error}; {advice}"),
            )
        })?;
        let namespace = self.namespace.clone().or_else(|| of_pod(Path::new(NAMESPACE)));
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config)
            .map_err(|error| Failure::other("the configuration for the API of Kubernetes", error))?;
        let driver = self.csi.as_ref().map(|endpoint| Csi::at(endpoint.path())).transpose();
        let driver = driver.map_err(|error| Failure::new(Exit::Usage, error))?;
        let metrics = listen_at(self.metrics_address.as_ref()).await?;
        let address = metrics.as_ref().and_then(Listener::local_addr).map(|address| address.to_string());
        let prober = FromHere { client: self.reaching.options()? };
        let options = self.options(namespace);
        info!(target: "kadalu", namespace = options.settings.namespace, identity = options.identity, metrics = address, "following storages");
        notify(NotifyState::Ready);
        let stop = CancellationToken::new();
        let working = operator::run(client, options, prober, driver, metrics, stop.clone());
        tokio::pin!(working);
        tokio::select! {
            () = &mut working => return Ok(()),
            name = signals.next() => info!(target: "kadalu", signal = name, "stopping; storage classes stay"),
        }
        notify(NotifyState::Stopping);
        stop.cancel();
        working.await;
        Ok(())
    }

    fn options(&self, namespace: String) -> Options {
        let class_names = match self.class_names {
            Names::Rfc => ClassNames::Rfc,
            Names::Kadalu => ClassNames::Kadalu,
            Names::Both => ClassNames::Both,
        };
        let driver = self.driver_name.to_string();
        Options {
            settings: Settings { namespace, driver, class_names },
            identity: identity(),
            check_interval: self.check_interval,
            lease: Times::default(),
        }
    }
}

/// The machine's name, which with the network of the host pods share, and something that no other run has.
fn identity() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{:016x}", name.trim(), fastrand::u64(..))
}

fn of_pod(file: &Path) -> Option<String> {
    let namespace = std::fs::read_to_string(file).ok()?;
    Some(namespace.trim().to_owned()).filter(|namespace| !namespace.is_empty())
}
