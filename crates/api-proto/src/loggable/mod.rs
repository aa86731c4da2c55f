//! Requests as text for a log, as etcd writes them: keys are shown, of values only the size, of secrets nothing.
//!
//! Etcd has two writers of text, and which one it takes shows in the quotes: [`Quoting`].

mod internal;
mod text;

use self::text::{Quoting, Text};
use crate::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::etcdserverpb::request_op::Request;
use crate::etcdserverpb::{Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};

pub use self::text::push_quoted;

/// A message with a text for the log.
pub trait Loggable {
    /// Appends the text. Its length is that of the keys.
    fn write(&self, text: &mut String);

    /// The text by itself.
    fn loggable(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }
}

impl Loggable for PutRequest {
    fn write(&self, text: &mut String) {
        let mut text = Text::new(text, Quoting::Octal);
        text.bytes("key", &self.key);
        text.number("value_size", self.value.len());
        text.number("lease", self.lease);
        text.flag("prev_kv", self.prev_kv);
        text.flag("ignore_value", self.ignore_value);
        text.flag("ignore_lease", self.ignore_lease);
    }
}

impl Loggable for RangeRequest {
    fn write(&self, text: &mut String) {
        let mut text = Text::new(text, Quoting::Hex);
        text.bytes("key", &self.key);
        text.bytes("range_end", &self.range_end);
        text.number("limit", self.limit);
        text.number("revision", self.revision);
        text.choice(
            "sort_order",
            self.sort_order,
            SortOrder::try_from(self.sort_order).map(|it| it.as_str_name()),
        );
        let target = SortTarget::try_from(self.sort_target).map(|it| it.as_str_name());
        text.choice("sort_target", self.sort_target, target);
        text.flag("serializable", self.serializable);
        text.flag("keys_only", self.keys_only);
        text.flag("count_only", self.count_only);
        text.number("min_mod_revision", self.min_mod_revision);
        text.number("max_mod_revision", self.max_mod_revision);
        text.number("min_create_revision", self.min_create_revision);
        text.number("max_create_revision", self.max_create_revision);
    }
}

impl Loggable for DeleteRangeRequest {
    fn write(&self, text: &mut String) {
        let mut text = Text::new(text, Quoting::Hex);
        text.bytes("key", &self.key);
        text.bytes("range_end", &self.range_end);
        text.flag("prev_kv", self.prev_kv);
    }
}

impl Loggable for TxnRequest {
    fn write(&self, text: &mut String) {
        text.push_str("compare:<");
        join(text, &self.compare);
        text.push_str("> success:<");
        join(text, &self.success);
        text.push_str("> failure:<");
        join(text, &self.failure);
        text.push('>');
    }
}

impl Loggable for Compare {
    fn write(&self, text: &mut String) {
        let size = match &self.target_union {
            Some(TargetUnion::Value(value)) => Some(value.len()),
            _ => None,
        };
        let mut text = Text::new(text, if size.is_some() { Quoting::Octal } else { Quoting::Hex });
        text.choice("result", self.result, CompareResult::try_from(self.result).map(|it| it.as_str_name()));
        text.choice("target", self.target, CompareTarget::try_from(self.target).map(|it| it.as_str_name()));
        text.bytes("key", &self.key);
        match &self.target_union {
            Some(TargetUnion::Version(number)) => text.present("version", number),
            Some(TargetUnion::CreateRevision(number)) => text.present("create_revision", number),
            Some(TargetUnion::ModRevision(number)) => text.present("mod_revision", number),
            Some(TargetUnion::Lease(number)) => text.present("lease", number),
            Some(TargetUnion::Value(value)) => text.number("value_size", value.len()),
            None => {}
        }
        text.bytes("range_end", &self.range_end);
    }
}

impl Loggable for RequestOp {
    fn write(&self, text: &mut String) {
        let (begin, message, end): (_, &dyn Loggable, _) = match &self.request {
            Some(Request::RequestPut(put)) => ("request_put:<", put, '>'),
            Some(Request::RequestTxn(txn)) => ("request_txn:<", txn, '>'),
            Some(Request::RequestRange(range)) => ("request_range:{", range, '}'),
            Some(Request::RequestDeleteRange(delete)) => ("request_delete_range:{", delete, '}'),
            None => return,
        };
        text.push_str(begin);
        message.write(text);
        text.push(end);
    }
}

fn join(text: &mut String, messages: &[impl Loggable]) {
    for (number, message) in messages.iter().enumerate() {
        if number > 0 {
            text.push(' ');
        }
        message.write(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &impl Loggable, expected: &str) {
        assert_eq!(message.loggable(), expected);
    }

    fn op(request: Request) -> RequestOp {
        RequestOp { request: Some(request) }
    }

    /// The texts are lines of a running etcd 3.7.1.
    #[test]
    fn texts_are_etcds() {
        let key = b"a\x01\x7f\xff\"\\\n\t\xc3\xa9\xc2\x85".as_slice();
        let put = PutRequest { key: key.into(), value: "12345".into(), ..PutRequest::default() };
        check(&put, r#"key:"a\001\177\377\"\\\n\t\303\251\302\205" value_size:5 "#);
        let range = RangeRequest {
            key: "foo".into(),
            limit: 3,
            sort_order: SortOrder::Descend.into(),
            sort_target: SortTarget::Version.into(),
            keys_only: true,
            ..RangeRequest::default()
        };
        check(&range, r#"key:"foo" limit:3 sort_order:DESCEND sort_target:VERSION keys_only:true"#);
        let all =
            DeleteRangeRequest { key: "\0".into(), range_end: "\0".into(), ..DeleteRangeRequest::default() };
        check(&all, r#"key:"\x00" range_end:"\x00""#);
        check(&TxnRequest::default(), "compare:<> success:<> failure:<>");
    }

    #[test]
    fn transactions_show_no_values() {
        let compare = |result: CompareResult, target: CompareTarget, union| Compare {
            result: result.into(),
            target: target.into(),
            key: "foo".into(),
            target_union: Some(union),
            ..Compare::default()
        };
        let put = |value: &'static str| PutRequest {
            key: "foo".into(),
            value: value.into(),
            ..PutRequest::default()
        };
        let get = RangeRequest { key: "foo".into(), ..RangeRequest::default() };
        let delete =
            DeleteRangeRequest { key: "x".into(), range_end: "y".into(), ..DeleteRangeRequest::default() };
        let nested =
            TxnRequest { success: vec![op(Request::RequestPut(put("in")))], ..TxnRequest::default() };
        let txn = TxnRequest {
            compare: vec![
                compare(CompareResult::Greater, CompareTarget::Mod, TargetUnion::ModRevision(0)),
                compare(CompareResult::Equal, CompareTarget::Value, TargetUnion::Value("bar".into())),
                compare(CompareResult::Less, CompareTarget::Version, TargetUnion::Version(5)),
            ],
            success: vec![
                op(Request::RequestPut(put("baz"))),
                op(Request::RequestRange(get)),
                op(Request::RequestDeleteRange(delete)),
            ],
            failure: vec![op(Request::RequestPut(put("nope"))), op(Request::RequestTxn(nested))],
        };
        let expected = concat!(
            r#"compare:<result:GREATER target:MOD key:"foo" mod_revision:0 target:VALUE key:"foo" value_size:3  "#,
            r#"result:LESS key:"foo" version:5> success:<request_put:<key:"foo" value_size:3 > "#,
            r#"request_range:{key:"foo"} request_delete_range:{key:"x" range_end:"y"}> "#,
            r#"failure:<request_put:<key:"foo" value_size:4 > "#,
            r#"request_txn:<compare:<> success:<request_put:<key:"foo" value_size:2 >> failure:<>>>"#,
        );
        check(&txn, expected);
    }
}
