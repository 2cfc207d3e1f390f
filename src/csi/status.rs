//! What went wrong as a gRPC status, in one place: `?` makes it so.

use tonic::{Code, Status};

use crate::{
    mount::{
        self,
        control::{code, cut},
    },
    storage,
};

/// A status with a sentence that fits. CSI wants no details.
pub(super) fn failed(code: Code, sentence: impl std::fmt::Display) -> Status {
    Status::new(code, cut(&sentence.to_string()))
}

/// A request that makes no sense, whatever the state of the volume.
pub(super) fn invalid(sentence: impl std::fmt::Display) -> Status {
    failed(Code::InvalidArgument, sentence)
}

/// What only a panic of ours can bring.
pub(super) fn defect(error: impl std::fmt::Display) -> Status {
    failed(Code::Internal, format_args!("this is a defect of kadalu, please report it: {error}"))
}

impl From<storage::Error> for Status {
    fn from(error: storage::Error) -> Self {
        use storage::Reason;
        let code = match error.reason() {
            Reason::Invalid => Code::InvalidArgument,
            Reason::NotFound => Code::NotFound,
            Reason::Exists => Code::AlreadyExists,
            Reason::OutOfRange => Code::OutOfRange,
            Reason::Exhausted => Code::ResourceExhausted,
            Reason::Precondition => Code::FailedPrecondition,
            Reason::Unavailable | Reason::Gone => Code::Unavailable,
            Reason::Timeout => Code::DeadlineExceeded,
            Reason::Other => Code::Internal,
        };
        failed(code, error)
    }
}

impl From<mount::Error> for Status {
    fn from(error: mount::Error) -> Self {
        let code = match error.reason() {
            mount::Reason::Other => Code::Internal,
            reason => code(reason),
        };
        failed(code, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sentence_is_cut() {
        let error = storage::Error::new(storage::Reason::NotFound, "€".repeat(10_000));
        let status = Status::from(error);
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().len() < 4200 && status.details().is_empty(), "{}", status.message().len());
    }

    #[test]
    fn a_mount_that_is_gone_is_to_be_tried_again() {
        let error = storage::Error::errno("cannot look", rustix::io::Errno::NOTCONN);
        assert_eq!(error.reason(), storage::Reason::Gone);
        assert_eq!(Status::from(error).code(), Code::Unavailable);
    }

    #[test]
    fn only_what_may_succeed_unchanged_is_to_be_tried_again() {
        let code = |reason| Status::from(mount::Error::new(reason, "a sentence")).code();
        assert_eq!(code(mount::Reason::Bricks), Code::Unavailable);
        assert_eq!(code(mount::Reason::Stopped), Code::FailedPrecondition);
        assert_eq!(code(mount::Reason::Other), Code::Internal);
    }
}
