//! An API server of Kubernetes in memory, as far as an operator can tell: versions, watches, server-side apply with managers,
//! the status apart, finalizers, and errors when a test wants them.

#![allow(dead_code, unreachable_pub, reason = "a module of several tests, each of which uses some of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod objects;
mod path;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode, body::Frame, header::CONTENT_TYPE, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;

use self::{
    objects::{Change, Objects, Refused},
    path::Place,
};

type Body = BoxBody<Bytes, Infallible>;

/// A code that nobody sees: there is no answer.
const HANG: u16 = 599;

/// An API server; clones are the same one.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Mutex<Inner>>,
    pub address: SocketAddr,
}

#[derive(Default)]
struct Inner {
    objects: Objects,
    watches: Vec<Watch>,
    /// Requests that fail, by what their log line contains: how often, and how.
    faults: Vec<(String, usize, u16)>,
    /// `PATCH storageclasses kadalu.s`, but for those that change nothing of anybody's: leases.
    writes: Vec<String>,
    /// The lines of all requests.
    requests: Vec<String>,
    /// What each request takes.
    asked: BTreeSet<Right>,
    /// What is allowed; all where nobody has said.
    allowed: Option<fn(&Right) -> bool>,
}

/// What a request takes, in the words of RBAC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    pub group: String,
    pub resource: String,
    pub verb: &'static str,
    /// None for what is in none, and for lists of all.
    pub namespace: Option<String>,
    /// None for lists, but for those of one name, and for what is made, of which the name is not known yet.
    pub name: Option<String>,
}

struct Watch {
    place: Place,
    name: Option<String>,
    to: mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>,
}

impl Api {
    /// Starts one; it ends with the runtime.
    pub async fn start() -> Self {
        Self::start_on(std::net::TcpListener::bind("127.0.0.1:0").unwrap()).await
    }

    /// Starts one that answers there.
    pub async fn start_on(listener: std::net::TcpListener) -> Self {
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let api = Self { inner: Arc::default(), address: listener.local_addr().unwrap() };
        let serving = api.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let api = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let api = api.clone();
                        async move { Ok::<_, Infallible>(api.answer(request).await) }
                    });
                    // The client may hang up.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        api
    }

    /// The text of a kubeconfig that leads here.
    pub fn kubeconfig(&self) -> String {
        let server = format!("http://{}", self.address);
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": { "server": server } }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u", "namespace": "kadalu" } }],
            "users": [{ "name": "u", "user": {} }],
        })
        .to_string()
    }

    /// A client without a connection: all is done in memory, so that the clock of a test may be paused.
    pub fn client(&self) -> kube::Client {
        let api = self.clone();
        let answer = move |request: Request<kube::client::Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        };
        kube::Client::new(tower::service_fn(answer), "default")
    }

    /// The next `times` requests whose line (`PATCH storageclasses kadalu.s`) contains this are answered with this code.
    pub fn fail(&self, line: &str, times: usize, code: u16) {
        self.lock().faults.push((line.to_owned(), times, code));
    }

    /// The next `times` requests whose line contains this are never answered.
    pub fn hang(&self, line: &str, times: usize) {
        self.fail(line, times, HANG);
    }

    /// How many requests are still to fail.
    pub fn to_fail(&self) -> usize {
        self.lock().faults.iter().map(|(_, times, _)| times).sum()
    }

    /// Ends all watches, as a restart of the server does.
    pub fn cut(&self) {
        self.lock().watches.clear();
    }

    /// Forgets what has changed: who watches on from before is told 410.
    pub fn compact(&self) {
        self.lock().objects.compact();
    }

    /// Makes or changes an object, as somebody with kubectl.
    pub fn put(&self, path: &str, object: Value) -> Value {
        let place = Place::parse(path).unwrap();
        let mut inner = self.lock();
        let changed = match inner.objects.get(&place) {
            Some(_) => inner.objects.merge(&place, &object, "kubectl"),
            None => inner.objects.create(&place, object, "kubectl"),
        };
        inner.publish(changed).unwrap()
    }

    /// Deletes an object, as somebody with kubectl.
    pub fn remove(&self, path: &str) {
        let mut inner = self.lock();
        let changed = inner.objects.delete(&Place::parse(path).unwrap(), &Value::Null);
        inner.publish(changed).unwrap();
    }

    /// An object.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.lock().objects.get(&Place::parse(path).unwrap()).cloned()
    }

    /// The objects of a kind, in all namespaces.
    pub fn list(&self, path: &str) -> Vec<Value> {
        self.lock().objects.list(&Place::parse(path).unwrap(), None)
    }

    /// Every request so far that would write, but those of leases.
    pub fn writes(&self) -> Vec<String> {
        self.lock().writes.clone()
    }

    /// How many requests there were so far whose line contains this.
    pub fn requests(&self, line: &str) -> usize {
        self.lock().requests.iter().filter(|request| request.contains(line)).count()
    }

    /// From now on all else is refused, as by RBAC.
    pub fn allow(&self, allowed: fn(&Right) -> bool) {
        self.lock().allowed = Some(allowed);
    }

    /// What the requests so far take.
    pub fn asked(&self) -> BTreeSet<Right> {
        self.lock().asked.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    async fn answer<B: hyper::body::Body>(&self, request: Request<B>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let Some(place) = Place::parse(parts.uri.path()) else {
            return status(Refused(404, "there is no such resource".to_owned()));
        };
        let query = path::query(parts.uri.query().unwrap_or_default());
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let response = self.lock().request(&parts.method, &place, &query, kind, body);
        if response.status() == HANG {
            std::future::pending::<()>().await;
        }
        response
    }
}

impl Inner {
    fn request(
        &mut self,
        method: &Method,
        place: &Place,
        query: &BTreeMap<String, String>,
        kind: &str,
        body: Value,
    ) -> Response<Body> {
        let watch = query.get("watch").is_some_and(|watch| watch == "true" || watch == "1");
        let line = format!("{method} {} {}", place.resource(), place.name.as_deref().unwrap_or_default());
        self.requests.push(line.clone());
        if let Some(fault) =
            self.faults.iter_mut().find(|(of, times, _)| *times > 0 && line.contains(of.as_str()))
        {
            fault.1 -= 1;
            return status(Refused(fault.2, "a test wants this to fail".to_owned()));
        }
        let manager = query.get("fieldManager").map_or("unknown", String::as_str);
        let selected =
            query.get("fieldSelector").and_then(|selector| selector.strip_prefix("metadata.name="));
        let applies = kind.starts_with("application/apply-patch");
        if let Err(refused) = self.allowed(method, place, watch, selected, applies) {
            return status(refused);
        }
        let changed = match (method.as_str(), &place.name) {
            ("GET", None) if watch => {
                let from = query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
                return self.watch(place, selected.map(str::to_owned), from);
            }
            ("GET", None) => {
                let number = |key: &str| query.get(key).and_then(|number| number.parse().ok());
                let from = query.get("continue").map(String::as_str);
                let (metadata, items) =
                    match self.objects.page(place, selected, from, number("limit").unwrap_or(0)) {
                        Ok(page) => page,
                        Err(refused) => return status(refused),
                    };
                let list = json!({ "kind": "List", "apiVersion": place.api_version(), "metadata": metadata, "items": items });
                return response(200, &list);
            }
            ("GET", Some(_)) => match self.objects.get(place) {
                Some(object) => return response(200, object),
                None => Err(Refused(404, format!("{line} is not there"))),
            },
            ("POST", _) => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                self.objects.create(&Place { name: Some(name), ..place.clone() }, body, manager)
            }
            ("PUT", Some(_)) => self.objects.replace(place, body, manager),
            ("PATCH", Some(_)) if applies => {
                let force = query.get("force").is_some_and(|force| force == "true");
                self.objects.apply(place, body, manager, force)
            }
            ("PATCH", Some(_)) if kind == "application/merge-patch+json" => {
                self.objects.merge(place, &body, manager)
            }
            ("DELETE", Some(_)) => self.objects.delete(place, &body),
            _ => Err(Refused(405, format!("{line} ({kind})"))),
        };
        match self.publish(changed) {
            Ok(object) => response(200, &object),
            Err(refused) => status(refused),
        }
    }

    /// Notes what a request takes, and refuses what is not granted.
    fn allowed(
        &mut self,
        method: &Method,
        place: &Place,
        watch: bool,
        selected: Option<&str>,
        applies: bool,
    ) -> Result<(), Refused> {
        let verb = match (method.as_str(), &place.name) {
            ("GET", None) if watch => "watch",
            ("GET", None) => "list",
            ("GET", _) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            _ => "delete",
        };
        if method != Method::GET && place.plural != "leases" {
            let name = place.name.as_deref().unwrap_or_default();
            self.writes.push(format!("{method} {} {name}", place.resource()).trim_end().to_owned());
        }
        let right = |verb, name: Option<&str>| Right {
            group: place.group.clone(),
            resource: place.resource(),
            verb,
            namespace: place.namespace.clone(),
            name: name.map(str::to_owned),
        };
        let mut taken = vec![right(verb, place.name.as_deref().or(selected))];
        // What is applied and is not there is made.
        if applies && self.objects.get(place).is_none() {
            taken.push(right("create", None));
        }
        let refused = taken.iter().find(|right| self.allowed.is_some_and(|allowed| !allowed(right))).cloned();
        self.asked.extend(taken);
        refused.map_or(Ok(()), |right| Err(Refused(403, format!("nobody has granted {right:?}"))))
    }

    fn watch(&mut self, place: &Place, name: Option<String>, from: u64) -> Response<Body> {
        let (to, frames) = mpsc::unbounded_channel();
        let body = StreamBody::new(UnboundedReceiverStream::new(frames)).boxed();
        let watch = Watch { place: place.clone(), name, to };
        match self.objects.since(from) {
            Some(changes) => {
                changes.iter().for_each(|change| watch.send(change));
                self.watches.retain(|watch| !watch.to.is_closed());
                self.watches.push(watch);
            }
            None => {
                let gone = json!({ "kind": "Status", "code": 410, "reason": "Expired", "message": "too old", "status": "Failure" });
                watch.line(&json!({ "type": "ERROR", "object": gone }));
            }
        }
        Response::builder().header(CONTENT_TYPE, "application/json").body(body).unwrap()
    }

    /// Tells who watches.
    fn publish(&self, changed: Result<Change, Refused>) -> Result<Value, Refused> {
        let change = changed?;
        if change.what != "NOTHING" {
            self.watches.iter().for_each(|watch| watch.send(&change));
        }
        Ok(change.object)
    }
}

impl Watch {
    fn send(&self, change: &Change) {
        let named = self.name.as_ref().is_none_or(|name| Some(name) == change.place.name.as_ref());
        if named && change.place.is_within(&self.place) {
            self.line(&json!({ "type": change.what, "object": change.object }));
        }
    }

    fn line(&self, event: &Value) {
        // Who has hung up misses nothing.
        let _ = self.to.send(Ok(Frame::data(Bytes::from(format!("{event}\n")))));
    }
}

fn response(code: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())).boxed());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
    response
}

fn status(Refused(code, message): Refused) -> Response<Body> {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    response(code, &status)
}
