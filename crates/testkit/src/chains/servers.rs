//! Certificates of servers, for a client that dials `localhost`.

use super::extension::{CLIENT, Kind, SERVER, names, usages};
use super::{Case, Signed, Sketch, Table};

const LOCALHOST: &[(Kind, &[u8])] = &[(Kind::Host, b"localhost")];

/// What a client says of its servers' certificates.
pub fn servers() -> Vec<Case> {
    let mut table = Table::default();
    let mut check = |name, text: Option<&'static str>, sketch: Sketch| {
        let root = root(name);
        table.add(name, &[&root], &[&sketch.signed_by(&root)], text);
    };
    let named = |list: &[(Kind, &[u8])]| Sketch::leaf("server").with(names(list));
    check("the host", None, named(LOCALHOST));
    check("the host in capitals", None, named(&[(Kind::Host, b"LOCALHOST")]));
    check("the host among others", None, named(&[(Kind::Host, b"a"), (Kind::Host, b"localhost")]));
    check("that of an authority", None, Sketch::authority("server").with(names(LOCALHOST)));
    check("no list of purposes", None, Sketch::plain("server").with(names(LOCALHOST)));
    let legacy = untrusted!("certificate relies on legacy Common Name field, use SANs instead");
    check("the host as its common name alone", Some(legacy), Sketch::leaf("localhost"));
    check("X.509 version 1", Some(legacy), Sketch::plain("localhost").version(1));
    let nameless = untrusted!("certificate is not valid for any names, but wanted to match localhost");
    check("no host", Some(nameless), Sketch::leaf("server"));
    let other = untrusted!("certificate is valid for a.example, *.b.example, not localhost");
    check("other hosts", Some(other), named(&[(Kind::Host, b"a.example"), (Kind::Host, b"*.b.example")]));
    let pattern = untrusted!("certificate is valid for *, not localhost");
    check("a pattern without a domain", Some(pattern), named(&[(Kind::Host, b"*")]));
    let usage = untrusted!("certificate specifies an incompatible key usage");
    let clients = Sketch::plain("server").with(usages(&[CLIENT])).with(names(LOCALHOST));
    check("for clients alone", Some(usage), clients);
    let expired = untrusted!("certificate has expired or is not yet valid: current time ");
    check("expired", Some(expired), named(LOCALHOST).valid("20000101000000Z", "20010101000000Z"));
    let servers = Sketch::plain("server").with(usages(&[SERVER])).with(names(LOCALHOST));
    check("for servers alone", None, servers);

    let stranger = named(LOCALHOST).signed_by(&root("nothing knows it"));
    let unknown = untrusted!("certificate signed by unknown authority");
    table.rejects("of an unknown authority", unknown, &[], &[&stranger]);
    table.0
}

fn root(name: &str) -> Signed {
    Sketch::authority(name).self_signed()
}
