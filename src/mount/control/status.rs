//! An [`Error`] as a gRPC status, and back.

use prost::Message;
use tonic::{Code, Status};

use crate::mount::{Error, Reason, generated::Failure};

/// The most bytes of a sentence in a status: it travels in a header, in which a byte can become three, and of which a
/// client takes 16 KiB.
const MAX_MESSAGE: usize = 4096;

/// The status of a failed call: the sentence, and a [`Failure`] for scripts.
pub(super) fn status(error: &Error) -> Status {
    failed(code(error.reason()), error.reason(), &error.to_string())
}

/// A status with its code given.
pub(super) fn failed(code: Code, reason: Reason, message: &str) -> Status {
    let failure = Failure { reason: reason as i32 };
    Status::with_details(code, cut(message), failure.encode_to_vec().into())
}

/// What the host at the other end said; `None` where it did not say anything, but the connection failed.
pub(super) fn told(status: &Status) -> Option<Error> {
    if std::error::Error::source(status).is_some() {
        return None;
    }
    // The reason of a later version, and of what is no failure of the host, is another one.
    let reason = Failure::decode(status.details()).map_or(Reason::Other, |failure| failure.reason());
    Some(Error::new(reason, status.message()))
}

/// For those who only know gRPC, in the words of its guide to codes.
pub(crate) fn code(reason: Reason) -> Code {
    match reason {
        Reason::Other => Code::Unknown,
        Reason::Invalid => Code::InvalidArgument,
        Reason::Unreachable | Reason::Bricks | Reason::NoHost => Code::Unavailable,
        Reason::NoSuchVolume | Reason::NoSuchDirectory | Reason::NotMounted => Code::NotFound,
        Reason::TargetInUse => Code::AlreadyExists,
        Reason::TimedOut => Code::DeadlineExceeded,
        // To try again helps only after something else was done.
        Reason::OpVersion
        | Reason::Access
        | Reason::InvalidVolfile
        | Reason::Stopped
        | Reason::Busy
        | Reason::Machine => Code::FailedPrecondition,
    }
}

/// A sentence that a status can carry.
pub(crate) fn cut(message: &str) -> String {
    match message.len() {
        ..=MAX_MESSAGE => message.to_owned(),
        _ => format!("{} …", &message[..message.floor_char_boundary(MAX_MESSAGE)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_comes_back() {
        let mut reasons = 0;
        while let Ok(reason) = Reason::try_from(reasons) {
            let back = told(&status(&Error::new(reason, "a sentence"))).unwrap();
            assert_eq!((back.reason(), back.to_string()), (reason, "a sentence".to_owned()));
            reasons += 1;
        }
        assert_eq!(reasons, 16);
    }

    #[test]
    fn what_a_host_of_another_version_says_is_kept() {
        for details in [Failure { reason: 9999 }.encode_to_vec(), b"\xff\xff\xff".to_vec(), Vec::new()] {
            let status = Status::with_details(Code::Aborted, "a sentence", details.into());
            let error = told(&status).unwrap();
            assert_eq!((error.reason(), error.to_string()), (Reason::Other, "a sentence".to_owned()));
        }
        assert!(told(&Status::from_error("broken pipe".into())).is_none());
    }

    #[test]
    fn a_long_sentence_is_cut_between_characters() {
        let message = status(&Error::new(Reason::Other, "€".repeat(10_000))).message().to_owned();
        assert!(message.len() <= MAX_MESSAGE + 4 && message.ends_with("€ …"), "{}", message.len());
    }
}
