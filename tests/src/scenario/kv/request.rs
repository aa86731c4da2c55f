//! Messages from words.

use std::iter::Peekable;

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::compare::{CompareTarget, TargetUnion};
use ferretcd_api_proto::etcdserverpb::request_op::Request;

use super::super::words::{self, Base, number, option};

pub(super) fn put(words: &[&str]) -> pb::PutRequest {
    let mut put =
        pb::PutRequest { key: words::bytes(words[0]), value: words::bytes(words[1]), ..Default::default() };
    for (name, value) in words[2..].iter().map(|word| option(word)) {
        match name {
            "lease" => put.lease = number(value),
            "prev_kv" => put.prev_kv = true,
            "ignore_value" => put.ignore_value = true,
            "ignore_lease" => put.ignore_lease = true,
            _ => panic!("put has no option {name}"),
        }
    }
    put
}

pub(super) fn range(words: &[&str], base: Base) -> pb::RangeRequest {
    let (key, range_end) = words::range(words[0]);
    let mut range = pb::RangeRequest { key, range_end, ..Default::default() };
    for (name, value) in words[1..].iter().map(|word| option(word)) {
        match name {
            "limit" => range.limit = number(value),
            "rev" => range.revision = base.parse(value),
            "order" => range.sort_order = choice(value, &["none", "asc", "desc"]),
            "by" => range.sort_target = choice(value, &["key", "version", "create", "mod", "value"]),
            "serializable" => range.serializable = true,
            "keys_only" => range.keys_only = true,
            "count_only" => range.count_only = true,
            "min_mod" => range.min_mod_revision = base.parse(value),
            "max_mod" => range.max_mod_revision = base.parse(value),
            "min_create" => range.min_create_revision = base.parse(value),
            "max_create" => range.max_create_revision = base.parse(value),
            "brief" => {}
            _ => panic!("range has no option {name}"),
        }
    }
    range
}

pub(super) fn delete(words: &[&str]) -> pb::DeleteRangeRequest {
    let (key, range_end) = words::range(words[0]);
    let mut delete = pb::DeleteRangeRequest { key, range_end, prev_kv: false };
    for word in &words[1..] {
        match *word {
            "prev_kv" => delete.prev_kv = true,
            _ => panic!("delete has no option {word}"),
        }
    }
    delete
}

pub(super) fn grant(words: &[&str]) -> pb::LeaseGrantRequest {
    let mut grant = pb::LeaseGrantRequest { id: number(words[0]), ttl: 600 };
    for (name, value) in words[1..].iter().map(|word| option(word)) {
        match name {
            "ttl" => grant.ttl = number(value),
            _ => panic!("grant has no option {name}"),
        }
    }
    grant
}

/// Position of a name, or the number given in its place.
fn choice(word: &str, names: &[&str]) -> i32 {
    match names.iter().position(|name| *name == word) {
        Some(index) => i32::try_from(index).expect("few names"),
        None => number(word),
    }
}

/// A transaction from its lines, indented by two blanks per level of nesting.
pub(super) fn txn(lines: &[String], base: Base) -> pb::TxnRequest {
    let mut lines = lines.iter().map(String::as_str).peekable();
    let txn = nested(&mut lines, 0, base);
    assert!(lines.next().is_none(), "the lines of a txn are indented evenly");
    txn
}

fn nested<'a>(
    lines: &mut Peekable<impl Iterator<Item = &'a str>>,
    indent: usize,
    base: Base,
) -> pb::TxnRequest {
    let mut txn = pb::TxnRequest::default();
    while let Some(line) = lines.next_if(|line| indentation(line) == indent) {
        let words = words::words(line);
        let (times, words) = match words[0].strip_suffix('x').map(str::parse) {
            Some(Ok(times)) => (times, &words[1..]),
            _ => (1, &words[..]),
        };
        match words[0] {
            "if" => txn.compare.extend(vec![compare(&words[1..], base); times]),
            "then" => txn.success.extend(vec![operation(&words[1..], lines, indent, base); times]),
            "else" => txn.failure.extend(vec![operation(&words[1..], lines, indent, base); times]),
            other => panic!("a txn has no {other}"),
        }
    }
    txn
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn operation<'a>(
    words: &[&str],
    lines: &mut Peekable<impl Iterator<Item = &'a str>>,
    indent: usize,
    base: Base,
) -> pb::RequestOp {
    let request = match words[0] {
        "put" => Some(Request::RequestPut(put(&words[1..]))),
        "range" => Some(Request::RequestRange(range(&words[1..], base))),
        "delete" => Some(Request::RequestDeleteRange(delete(&words[1..]))),
        "txn" => Some(Request::RequestTxn(nested(lines, indent + 2, base))),
        "nothing" => None,
        other => panic!("{other} is not an operation of a txn"),
    };
    pb::RequestOp { request }
}

/// `TARGET(RANGE) OP OPERAND`
fn compare(words: &[&str], base: Base) -> pb::Compare {
    let [subject, operator, operand] = words else { panic!("a compare is three words") };
    let (target, subject) = subject.split_once('(').expect("a compare names its target");
    let (key, range_end) = words::range(subject.strip_suffix(')').expect("the key is in parentheses"));
    let target = choice(target, &["version", "create", "mod", "value", "lease"]);
    let result = choice(operator, &["=", ">", "<", "!="]);
    pb::Compare { result, target, key, range_end, target_union: union(target, operand, base) }
}

fn union(target: i32, operand: &str, base: Base) -> Option<TargetUnion> {
    if operand == "none" {
        return None;
    }
    let (kind, operand) = match operand.split_once(':') {
        Some((kind, operand)) => (kind, operand),
        None => {
            let target = CompareTarget::try_from(target).expect("an unknown target names its operand's kind");
            let kind = match target {
                CompareTarget::Version => "version",
                CompareTarget::Create => "create",
                CompareTarget::Mod => "mod",
                CompareTarget::Value => "value",
                CompareTarget::Lease => "lease",
            };
            (kind, operand)
        }
    };
    Some(match kind {
        "version" => TargetUnion::Version(number(operand)),
        "create" => TargetUnion::CreateRevision(base.parse(operand)),
        "mod" => TargetUnion::ModRevision(base.parse(operand)),
        "value" => TargetUnion::Value(words::bytes(operand)),
        "lease" => TargetUnion::Lease(number(operand)),
        other => panic!("a compare has no operand of kind {other}"),
    })
}
