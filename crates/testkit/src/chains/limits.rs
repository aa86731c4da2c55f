//! What authorities demand of the certificates below them: names, policies.

use super::clients::{CRITICAL, root};
use super::der::{sequence, wrapper};
use super::extension::{Kind, constraints, names, other, policies, require_policy};
use super::{Sketch, Table};

pub(super) fn add(table: &mut Table) {
    constrained(table);
    constrained_otherwise(table);
    with_policies(table);
}

/// The text for a name for which an authority may not sign.
macro_rules! name {
    ($text:literal) => {
        concat!(
            "tls: failed to verify certificate: x509: a root or intermediate certificate is not authorized to sign ",
            "for this name: ",
            $text
        )
    };
}

/// Names for which an authority may not sign.
fn constrained(table: &mut Table) {
    type Names<'a> = &'a [(Kind, &'a [u8])];
    let mut check =
        |name, text: Option<&'static str>, permitted: Names<'_>, excluded: Names<'_>, of: Names<'_>| {
            let root = Sketch::authority(name).with(constraints(permitted, excluded)).self_signed();
            table.add(name, &[&root], &[&Sketch::leaf("leaf").with(names(of)).signed_by(&root)], text);
        };
    let example: Names<'_> = &[(Kind::Host, b"example")];
    let below: Names<'_> = &[(Kind::Host, b".example")];
    let network: Names<'_> = &[(Kind::Address, &[10, 0, 0, 0, 255, 0, 0, 0])];
    check("a permitted host", None, example, &[], &[(Kind::Host, b"a.Example"), (Kind::Host, b"example")]);
    check("a host beside an excluded one", None, &[], example, &[(Kind::Host, b"a.example.net")]);
    check(
        "names of another kind than the permitted",
        None,
        example,
        &[],
        &[(Kind::Address, &[127, 0, 0, 1])],
    );
    check("a permitted address", None, network, &[], &[(Kind::Address, &[10, 1, 2, 3])]);
    check("a permitted mailbox", None, &[(Kind::Email, b"a@b")], &[], &[(Kind::Email, b"a@B")]);
    check("a permitted URI", None, &[(Kind::Uri, b"a.example")], &[], &[(Kind::Uri, b"x://a.example/b")]);
    let text = Some(name!("DNS name \"a.b\" is not permitted by any constraint"));
    check("a host that is not permitted", text, example, &[], &[(Kind::Host, b"a.b")]);
    let text = Some(name!("DNS name \"example\" is not permitted by any constraint"));
    check("a host above the permitted", text, below, &[], &[(Kind::Host, b"example")]);
    let text = Some(name!("DNS name \"a.example\" is excluded by constraint \"example\""));
    check("an excluded host", text, &[], example, &[(Kind::Host, b"a.example")]);
    let text = Some(name!("DNS name \"*.example\" is excluded by constraint \"a.example\""));
    check(
        "a pattern that covers an excluded host",
        text,
        &[],
        &[(Kind::Host, b"a.example")],
        &[(Kind::Host, b"*.example")],
    );
    let text = Some(name!("IP address \"11.0.0.1\" is not permitted by any constraint"));
    check("an address that is not permitted", text, network, &[], &[(Kind::Address, &[11, 0, 0, 1])]);
    let text = Some(name!("IP address \"10.1.2.3\" is not permitted by any constraint"));
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3];
    check(
        "an address of IPv4 in the form of IPv6, where all of IPv6 is permitted",
        text,
        &[(Kind::Address, &[0; 32])],
        &[],
        &[(Kind::Address, &mapped)],
    );
    let text = Some(name!("IP address \"10.0.0.1\" is excluded by constraint \"10.0.0.0/8\""));
    check("an excluded address", text, &[], network, &[(Kind::Address, &[10, 0, 0, 1])]);
    let text = Some(name!("email address \"b@b\" is not permitted by any constraint"));
    check("a mailbox that is not permitted", text, &[(Kind::Email, b"a@b")], &[], &[(Kind::Email, b"b@b")]);
    let text = Some(name!("URI with empty host (\"urn:a:b\") cannot be matched against constraints"));
    check(
        "a URI without a host, where hosts are constrained",
        text,
        example,
        &[],
        &[(Kind::Uri, b"urn:a:b")],
    );
}

/// Constraints for an intermediate, and of a kind that nothing knows.
fn constrained_otherwise(table: &mut Table) {
    let example: &[(Kind, &[u8])] = &[(Kind::Host, b"example")];
    let strict = Sketch::authority("within").with(constraints(example, &[])).self_signed();
    let between = Sketch::authority("b").with(names(&[(Kind::Host, b"other")])).signed_by(&strict);
    let text = name!("DNS name \"other\" is not permitted by any constraint");
    let leaf = Sketch::leaf("leaf").signed_by(&between);
    table.rejects("an intermediate that is not permitted", text, &[&strict], &[&leaf, &between]);
    let directory = wrapper(4, &[&sequence(&[])]);
    let tree = wrapper(0, &[&sequence(&[&directory])]);
    let of_directory = other(&[2, 5, 29, 30], true, &sequence(&[&tree]));
    let root = Sketch::authority("directory").with(of_directory).self_signed();
    table.rejects(
        "constraints of an unknown kind",
        CRITICAL,
        &[&root],
        &[&Sketch::leaf("leaf").signed_by(&root)],
    );
}

/// Policies, where one is demanded.
fn with_policies(table: &mut Table) {
    const A: &[u32] = &[1, 2, 3];
    const B: &[u32] = &[1, 2, 4];
    let none = untrusted!("no valid chains built: 1 candidate chains with invalid policies");
    let mut check = |name, text: Option<&'static str>, of_leaf: Option<&[&[u32]]>| {
        let root = root(name);
        let between = Sketch::authority("b").with(policies(&[A])).with(require_policy(0)).signed_by(&root);
        let leaf = Sketch::leaf("leaf");
        let leaf = of_leaf.map_or(leaf.clone(), |list| leaf.with(policies(list))).signed_by(&between);
        table.add(name, &[&root], &[&leaf, &between], text);
    };
    check("the policy that is demanded", None, Some(&[A]));
    check("one policy of several", None, Some(&[B, A]));
    check("another policy", Some(none), Some(&[B]));
    check("no policy", Some(none), None);
}
