//! The end of a server.

use std::{future::Future, time::Duration};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::Error;

/// Lets `serve`, which is given its own `shutdown`, answer what it is being asked for as long as `grace`: by itself it would
/// wait for as long as a client keeps a call open.
pub(crate) async fn graceful<S: Future<Output = Result<(), Error>>>(
    shutdown: impl Future<Output = ()>,
    grace: Duration,
    serve: impl FnOnce(WaitForCancellationFutureOwned) -> S,
) -> Result<(), Error> {
    let stopping = CancellationToken::new();
    let overdue = async {
        shutdown.await;
        stopping.cancel();
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        served = serve(stopping.clone().cancelled_owned()) => served,
        () = overdue => Ok(()),
    }
}
