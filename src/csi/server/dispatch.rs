//! Which service a call is for, by the path of its request.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::{Instant, timeout_at};
use tonic::{
    Code, Status,
    body::Body,
    codegen::{
        Service,
        http::{Request, Response},
    },
};
use tracing::Instrument;

use super::call::{self, Deadline};
use crate::csi::{
    generated::{
        controller_server::{self, Controller, ControllerServer},
        identity_server::{self, Identity, IdentityServer},
        node_server::{self, Node, NodeServer},
    },
    status::failed,
};

/// The services that there are.
#[derive(Debug)]
pub(super) struct Dispatch<I, C, N> {
    pub(super) identity: IdentityServer<I>,
    pub(super) controller: Option<ControllerServer<C>>,
    pub(super) node: Option<NodeServer<N>>,
}

/// By hand: a derived one would want the services themselves to be `Clone`.
impl<I, C, N> Clone for Dispatch<I, C, N> {
    fn clone(&self) -> Self {
        Self { identity: self.identity.clone(), controller: self.controller.clone(), node: self.node.clone() }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<I: Identity, C: Controller, N: Node> Dispatch<I, C, N> {
    fn answer(&mut self, request: Request<Body>) -> Answer {
        let service = request.uri().path().split('/').nth(1).unwrap_or_default();
        match (service, &mut self.controller, &mut self.node) {
            (identity_server::SERVICE_NAME, ..) => self.identity.call(request),
            (controller_server::SERVICE_NAME, Some(controller), _) => controller.call(request),
            (node_server::SERVICE_NAME, _, Some(node)) => node.call(request),
            _ => {
                let shown = &service[..service.floor_char_boundary(64)];
                let sentence =
                    format!("this instance does not serve {shown:?}: its --mode says what it serves");
                Box::pin(async { Ok(failed(Code::Unimplemented, sentence).into_http()) })
            }
        }
    }
}

impl<I: Identity, C: Controller, N: Node> Service<Request<Body>> for Dispatch<I, C, N> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Answer {
        let began = Instant::now();
        let deadline = Deadline::by(request.headers());
        request.extensions_mut().insert(deadline);
        let method: Arc<str> = request.uri().path().rsplit('/').next().unwrap_or_default().into();
        let span = call::span(&method[..method.floor_char_boundary(64)]);
        let answer = span.in_scope(|| self.answer(request));
        let answered = async move {
            let response = match timeout_at(deadline.0, answer).await {
                Ok(Ok(response)) => response,
                Err(_) => overdue(&method, began).into_http(),
            };
            call::log(&method, &response, began);
            Ok(response)
        };
        Box::pin(answered.instrument(span))
    }
}

fn overdue(method: &str, began: Instant) -> Status {
    let sentence = format!(
        "{method} has not ended within the {:.1} s that it had; what it began goes on: ask again",
        began.elapsed().as_secs_f64()
    );
    failed(Code::DeadlineExceeded, sentence)
}
