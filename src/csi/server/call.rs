//! One call: how long it has, and its line in the log.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{
    Code, Request, Status,
    codegen::http::{HeaderMap, Response},
};
use tracing::{Span, debug, info, info_span, warn};

/// For a call without a deadline.
const LONGEST: Duration = Duration::from_secs(300);

/// What the answer takes on its way; less where the whole time is short.
const MARGIN: Duration = Duration::from_millis(200);

/// As much of a volume's id as a log line shows, in bytes.
const SHOWN: usize = 256;

/// Until when a call is to be answered.
#[derive(Debug, Clone, Copy)]
pub(in crate::csi) struct Deadline(pub(super) Instant);

impl Deadline {
    /// By the `grpc-timeout` of the request.
    pub(super) fn by(headers: &HeaderMap) -> Self {
        let said = headers.get("grpc-timeout").and_then(|value| timeout(value.to_str().ok()?));
        let within = said.unwrap_or(LONGEST).min(LONGEST);
        Self(Instant::now() + within - MARGIN.min(within / 10))
    }

    /// Of a request that came through the server; of any other, as one that has none.
    pub(in crate::csi) fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get().copied().unwrap_or_else(|| Self(Instant::now() + LONGEST))
    }

    /// What is left of the time.
    pub(in crate::csi) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// At most eight digits and a unit, as gRPC has it over HTTP/2.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| is_number)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// What the log lines of a call have in common.
pub(super) fn span(method: &str) -> Span {
    info_span!(target: "kadalu", "csi", method, volume = tracing::field::Empty)
}

/// Names the volume that the call is about in its log lines.
pub(in crate::csi) fn about(id: &str) {
    let shown = &id[..id.floor_char_boundary(SHOWN)];
    // Debug shows control characters as what they are.
    Span::current().record("volume", format_args!("{shown:?}").to_string());
}

/// The line of a call that has been answered.
pub(super) fn log<B>(method: &str, response: &Response<B>, began: Instant) {
    let ms = began.elapsed().as_millis();
    // A failure has no body, and its status in the headers; a success has it in the trailers.
    let status = Status::from_header_map(response.headers()).unwrap_or_else(|| Status::new(Code::Ok, ""));
    match status.code() {
        Code::Ok if changes(method) => info!(target: "kadalu", code = "OK", ms, "done"),
        Code::Ok => debug!(target: "kadalu", code = "OK", ms, "done"),
        code => warn!(target: "kadalu", ?code, ms, "{}", status.message()),
    }
}

/// Whether a method does something; the others come often.
fn changes(method: &str) -> bool {
    let verbs = ["Create", "Delete", "Publish", "Unpublish", "Stage", "Unstage", "Expand", "Modify"];
    verbs.iter().any(|verb| method.contains(verb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_as_grpc_writes_them() {
        let at_most = |text: &str| {
            let headers = HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]);
            Deadline::by(&headers).left()
        };
        assert!((Duration::from_millis(1700)..Duration::from_secs(2)).contains(&at_most("2S")));
        assert!((Duration::from_millis(50)..Duration::from_millis(100)).contains(&at_most("100m")));
        for (text, expected) in [("1H", Some(3600)), ("2M", Some(120)), ("99999999S", Some(99_999_999))] {
            assert_eq!(timeout(text), expected.map(Duration::from_secs), "{text}");
        }
        assert!(at_most("99999999H") <= LONGEST, "a bound of our own");
        for text in ["", "S", "1", "1s", "999999999S", "-1S", "+1S", "1€", "€", "0x1S", "1 S"] {
            assert_eq!(timeout(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_log_line_shows_a_bounded_id() {
        // Cut between characters, whatever it is.
        about(&"€".repeat(100_000));
        about("\u{1b}[31m");
        assert!(changes("NodeUnstageVolume") && changes("ControllerPublishVolume"));
        assert!(!changes("NodeGetVolumeStats") && !changes("Probe"));
    }
}
