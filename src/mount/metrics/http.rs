//! `GET /metrics` and `GET /healthz`.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{sync::Semaphore, time::timeout};
use tracing::{debug, warn};

use crate::transport::Listener;

/// Connections at one time; more wait.
const CONNECTIONS: usize = 32;

/// The time for a request's head to come.
const HEAD: Duration = Duration::from_secs(5);

/// The time for the whole of a connection, which is one request.
const CONNECTION: Duration = Duration::from_secs(15);

/// The most bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;

/// The most header lines.
const MAX_HEADERS: usize = 64;

/// After a failed accept, which would fail again at once: too many open files.
const PAUSE: Duration = Duration::from_millis(200);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// What there is to answer, made when somebody asks. An error is a sentence why it cannot be known.
pub(crate) trait Pages: Clone + Send + Sync + 'static {
    /// In the text format of OpenMetrics.
    fn metrics(&self) -> impl Future<Output = Result<String, String>> + Send;

    /// What is wrong, a line each; empty where all is well.
    fn unhealthy(&self) -> impl Future<Output = Result<Vec<String>, String>> + Send;
}

/// Answers `GET /metrics`, and `GET /healthz` with 200 where nothing is wrong and 503 with what is where not. For ever; drop
/// the future to stop listening.
pub(crate) async fn serve(listener: Listener, pages: impl Pages) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = places.clone().acquire_owned().await {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept a connection to the metrics listener");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let pages = pages.clone();
        tokio::spawn(async move {
            let answering = service_fn(async |request| Ok::<_, Infallible>(answer(&request, &pages).await));
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(MAX_HEAD)
                .max_headers(MAX_HEADERS);
            let connection = http.keep_alive(false).serve_connection(TokioIo::new(stream), answering);
            match timeout(CONNECTION, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(%peer, %error, "a request for metrics failed"),
                Err(_) => debug!(%peer, "a request for metrics took too long"),
            }
            drop(place);
        });
    }
}

async fn answer<B>(request: &Request<B>, pages: &impl Pages) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !["/metrics", "/healthz"].contains(&path) {
        return response(StatusCode::NOT_FOUND, PLAIN, "there are /metrics and /healthz\n".to_owned());
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET it\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let page = match path {
        "/metrics" => pages.metrics().await.map(|text| response(StatusCode::OK, OPEN_METRICS, text)),
        _ => pages.unhealthy().await.map(|lines| match lines.is_empty() {
            true => response(StatusCode::OK, PLAIN, "ok\n".to_owned()),
            false => response(StatusCode::SERVICE_UNAVAILABLE, PLAIN, lines.join("\n") + "\n"),
        }),
    };
    page.unwrap_or_else(|error| response(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("{error}\n")))
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;
    use crate::mount::{
        fake::{Fake, example},
        generated::ListReply,
        metrics::Hosted,
    };

    fn start(list: ListReply) -> SocketAddr {
        let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Hosted(Fake::new(list))));
        address
    }

    /// What comes back for these bytes until the end of the connection.
    async fn send(address: SocketAddr, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may have been closed before all is written.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn request(address: SocketAddr, line: &str) -> String {
        send(address, format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await
    }

    #[tokio::test]
    async fn metrics_and_health() {
        let address = start(example());
        let metrics = request(address, "GET /metrics").await;
        assert!(metrics.starts_with("HTTP/1.1 200 "), "{metrics}");
        assert!(metrics.contains("\r\ncontent-type: application/openmetrics-text;"), "{metrics}");
        assert!(metrics.contains("kadalu_mount_up{") && metrics.ends_with("# EOF\n"), "{metrics}");
        let head = request(address, "HEAD /metrics").await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
        let health = request(address, "GET /healthz?verbose").await;
        assert!(
            health.starts_with("HTTP/1.1 503 ") && health.contains("\r\n\r\nvol-2 of vol: hung"),
            "{health}"
        );
        let health = request(start(ListReply::default()), "GET /healthz").await;
        assert!(health.starts_with("HTTP/1.1 200 ") && health.ends_with("\r\n\r\nok\n"), "{health}");
    }

    #[tokio::test]
    async fn everything_else_is_refused() {
        let address = start(example());
        assert!(request(address, "GET /").await.starts_with("HTTP/1.1 404 "));
        let post = request(address, "POST /metrics").await;
        assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("\r\nallow: GET, HEAD\r\n"), "{post}");
    }

    #[tokio::test]
    async fn hostile_bytes_end_a_connection_and_nothing_else() {
        let address = start(example());
        let long = [b"GET /".to_vec(), vec![b'a'; 2 * MAX_HEAD]].concat();
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(2 * MAX_HEADERS));
        for bytes in
            [&long[..], many.as_bytes(), b"\x16\x03\x01\x02\x00\x01\xff", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
        {
            let answer = send(address, bytes).await;
            assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
        }
        assert!(request(address, "GET /healthz").await.starts_with("HTTP/1.1 503 "));
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_not_waited_for() {
        let address = start(example());
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        // There is a place again when the time of those is up.
        assert!(request(address, "GET /healthz").await.starts_with("HTTP/1.1 503 "));
    }
}
