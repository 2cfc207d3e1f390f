//! The operator: KadaluStorage objects of Kubernetes reconciled into storage classes, the driver's list and a status.
//!
//! [`plan`] is a function of what is seen; around it, the loop follows the API, looks at volumes and asks the driver, and does
//! what was planned. Whatever is seen twice, late or in another order ends in the same state. Of several operators one works,
//! by a lease. Nothing is kept between runs but what stands in the API.

mod asking;
mod controller;
pub mod crd;
pub mod driver;
pub mod election;
mod expected;
mod hands;
mod lease;
mod metrics;
pub mod plan;
pub mod probe;
mod put_back;
pub mod rbac;
mod seen;
mod stores;
mod troubles;
pub mod users;
mod volumes;
pub mod world;

use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::{
    controller::Controller, driver::Driver, election::Times, hands::Hands, lease::Candidate,
    metrics::Figures, probe::Prober, stores::Stores, troubles::Troubles, world::Settings,
};
use crate::{mount::metrics::http, transport::Listener};

pub use self::lease::LEASE;

/// How an operator works.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is the same for all storages.
    pub settings: Settings,
    /// Its name among operators, which no other has and no earlier run had.
    pub identity: String,
    /// Between two looks at a volume, and two questions to the driver; up to a fifth less, so that they do not fall together.
    pub check_interval: Duration,
    /// Of the lease.
    pub lease: Times,
}

/// Works until `stop`, and then lets go of the lease. Errors of the API are retried for ever; `metrics` says what they are.
pub async fn run<P: Prober, D: Driver>(
    client: Client,
    options: Options,
    prober: P,
    driver: Option<D>,
    metrics: Option<Listener>,
    stop: CancellationToken,
) {
    let troubles = Troubles::default();
    let (leader, leads) = watch::channel(false);
    let figures = Figures::new(leads.clone(), troubles.clone());
    let pages = metrics.map(|listener| tokio::spawn(http::serve(listener, figures.clone())));
    let namespace = options.settings.namespace.clone();
    let stores = Stores::start(&client, &options.settings, &troubles);
    let hands = Hands::new(client.clone(), &namespace, &options.identity, options.lease.renewed);
    let candidate =
        Candidate::new(client, &namespace, options.identity.clone(), options.lease, troubles.clone());
    let controller = Controller::new(options, stores, hands, prober, driver, troubles, figures);
    // Work ends before the lease is let go.
    let released = CancellationToken::new();
    let working = async {
        // It is large.
        Box::pin(controller.run(leads, stop)).await;
        released.cancel();
    };
    tokio::join!(working, candidate.run(leader, released.clone()));
    if let Some(pages) = pages {
        pages.abort();
    }
}
