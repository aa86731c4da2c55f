//! The catalogue of errors against a list that was written down apart from it.

use std::collections::HashSet;

use ferretcd_api_proto::errors::{Code, Error, Untyped};

/// One line per error: name, number of its code, number of the code that is sent, text.
const TYPED: &str = include_str!("errors.golden");
/// One line per error: number of its code, text.
const UNTYPED: &str = include_str!("untyped.golden");

#[test]
fn typed_errors_are_those_of_the_list() {
    let ours: String = Error::ALL
        .iter()
        .map(|e| format!("{e:?} {} {} {}\n", e.code().number(), e.wire_code().number(), e.message()))
        .collect();
    assert_eq!(ours, TYPED);
    assert_eq!(Error::ALL.len(), 63);
}

#[test]
fn untyped_errors_are_those_of_the_list() {
    let ours: String =
        Untyped::ALL.iter().map(|e| format!("{} {}\n", e.code().number(), e.message())).collect();
    assert_eq!(ours, UNTYPED);
}

#[test]
fn no_two_errors_share_a_text() {
    let typed = Error::ALL.iter().map(|e| e.message());
    let untyped = Untyped::ALL.iter().map(|e| e.message());
    let texts: HashSet<&str> = typed.chain(untyped).collect();
    assert_eq!(texts.len(), Error::ALL.len() + Untyped::ALL.len());
}

#[test]
fn codes_have_the_numbers_and_names_of_grpc() {
    let names = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    let codes = [
        Code::Ok,
        Code::Canceled,
        Code::Unknown,
        Code::InvalidArgument,
        Code::DeadlineExceeded,
        Code::NotFound,
        Code::AlreadyExists,
        Code::PermissionDenied,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unimplemented,
        Code::Internal,
        Code::Unavailable,
        Code::DataLoss,
        Code::Unauthenticated,
    ];
    for (number, (code, name)) in codes.into_iter().zip(names).enumerate() {
        assert_eq!((usize::from(code.number()), code.to_string().as_str()), (number, name));
        #[cfg(feature = "services")]
        assert_eq!(tonic::Code::from(code) as usize, number);
    }
}
