//! The descriptor set as a JSON gateway uses it.

use std::collections::BTreeMap;

use ferretcd_api_proto::FILE_DESCRIPTOR_SET;
use prost::Message as _;

/// The part of a descriptor set that names methods and their HTTP paths.
mod schema {
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Set {
        #[prost(message, repeated, tag = "1")]
        pub(super) file: Vec<File>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct File {
        #[prost(string, tag = "2")]
        pub(super) package: String,
        #[prost(message, repeated, tag = "6")]
        pub(super) service: Vec<Service>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Service {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(message, repeated, tag = "2")]
        pub(super) method: Vec<Method>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Method {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(message, optional, tag = "4")]
        pub(super) options: Option<Options>,
        #[prost(bool, tag = "5")]
        pub(super) client_streaming: bool,
        #[prost(bool, tag = "6")]
        pub(super) server_streaming: bool,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Options {
        #[prost(message, optional, tag = "72295728")]
        pub(super) http: Option<Http>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Http {
        #[prost(string, tag = "4")]
        pub(super) post: String,
        #[prost(string, tag = "7")]
        pub(super) body: String,
        #[prost(message, repeated, tag = "11")]
        pub(super) additional_bindings: Vec<Http>,
    }
}

/// One line per method: path, kind (U unary, SS server stream, BD both ways), paths of the gateway.
const METHODS: &str = include_str!("methods.golden");

#[test]
fn methods_are_those_of_the_list() {
    let set = schema::Set::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut ours = BTreeMap::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package, service.name, method.name);
                ours.insert(path, describe(method));
            }
        }
    }
    let listed: BTreeMap<String, String> = METHODS
        .lines()
        .map(|line| line.split_once(' ').expect("a line has a path and a kind"))
        .map(|(path, rest)| (path.to_owned(), rest.to_owned()))
        .collect();
    assert_eq!(ours, listed);
}

fn describe(method: &schema::Method) -> String {
    let kind = match (method.client_streaming, method.server_streaming) {
        (false, false) => "U",
        (false, true) => "SS",
        (true, true) => "BD",
        (true, false) => "CS",
    };
    let mut words = vec![kind];
    let http = method.options.as_ref().and_then(|options| options.http.as_ref());
    for rule in http.into_iter().flat_map(|http| std::iter::once(http).chain(&http.additional_bindings)) {
        assert_eq!(rule.body, "*", "{}", rule.post);
        words.push(&rule.post);
    }
    words.join(" ")
}
