//! Certificates of clients.

use std::sync::Arc;

use rcgen::{
    KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize,
};

use super::extension::{
    ANY, CLIENT, CODE, Kind, SERVER, authority_key, basic, key_usage, names, other, subject_key, usages,
};
use super::sketch::{Signature, key, unknown};
use super::{Case, Signed, Sketch, Table, fixtures, limits};

const USAGE: &str = untrusted!("certificate specifies an incompatible key usage");
const EXPIRED: &str = untrusted!("certificate has expired or is not yet valid: current time ");
pub(super) const CRITICAL: &str = untrusted!("unhandled critical extension");
const NO_AUTHORITY: &str = untrusted!(
    "certificate signed by unknown authority (possibly because of \"x509: invalid signature: parent certificate cannot \
     sign this kind of certificate\" while"
);
const MALFORMED: &str = "tls: failed to parse client certificate: x509: ";

/// What a server says of its clients' certificates.
pub fn clients() -> Vec<Case> {
    let mut table = Table::default();
    leaves(&mut table);
    keys(&mut table);
    authorities(&mut table);
    chains(&mut table);
    crossings(&mut table);
    purposes(&mut table);
    times(&mut table);
    critical(&mut table);
    limits::add(&mut table);
    signatures(&mut table);
    malformed(&mut table);
    fixtures::add(&mut table);
    table.0
}

pub(super) fn root(name: &str) -> Signed {
    Sketch::authority(name).self_signed()
}

/// The last certificate, right below an authority.
fn leaves(table: &mut Table) {
    let mut below = |name, sketch: Sketch| {
        let root = root(name);
        table.accepts(name, &[&root], &[&sketch.signed_by(&root)]);
    };
    let leaf = || Sketch::leaf("leaf");
    below("nothing special", leaf());
    below("no extension at all", Sketch::plain("leaf"));
    below("X.509 version 1", Sketch::plain("leaf").version(1));
    below("X.509 version 2", Sketch::plain("leaf").version(2));
    below("that of an authority", leaf().with(basic(true, None)));
    below("that of an authority that signs", Sketch::authority("leaf"));
    below("that of an authority with a path length", leaf().with(basic(true, Some(0))));
    below("no name", Sketch::leaf(""));
    below("the number 0", leaf().serial(&[0]));
    below("a number of 30 bytes", leaf().serial(&[7; 30]));
    below("a key usage without signatures", leaf().with(key_usage(&[2])));
    below("an unknown extension", leaf().with(unknown(false)));
    below(
        "names of all kinds",
        leaf().with(names(&[
            (Kind::Email, b"a@b.example"),
            (Kind::Host, b"*.a.example"),
            (Kind::Uri, b"spiffe://a.example/b"),
            (Kind::Address, &[127, 0, 0, 1]),
        ])),
    );
    below("another name for the issuer's key", leaf().with(authority_key(b"other")));
}

/// The key of the last certificate.
fn keys(table: &mut Table) {
    let mut of = |name, key: KeyPair| {
        let root = root(name);
        table.accepts(name, &[&root], &[&Sketch::leaf("leaf").signed_with(&Arc::new(key), &root)]);
    };
    let made = |algorithm| KeyPair::generate_for(algorithm).expect("a key can be made");
    of("a P-384 key", made(&PKCS_ECDSA_P384_SHA384));
    of("a P-521 key", made(&PKCS_ECDSA_P521_SHA512));
    of("an Ed25519 key", made(&PKCS_ED25519));
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
    of("an RSA key", rsa.expect("a key can be made"));
}

/// What an authority in the file may be.
fn authorities(table: &mut Table) {
    let leaf = |root: &Signed| Sketch::leaf("leaf").signed_by(root);
    let mut good = |name, sketch: Sketch| {
        let root = sketch.self_signed();
        table.accepts(name, &[&root], &[&leaf(&root)]);
    };
    good("an authority of version 1", Sketch::plain("old").version(1));
    good("an authority that can't sign itself", Sketch::authority("damaged").signature(Signature::Damaged));
    good("an authority with a path length of 0", Sketch::plain("short").with(basic(true, Some(0))));
    good("an authority for clients", Sketch::authority("clients").with(usages(&[CLIENT])));
    let mut bad = |name, text, sketch: Sketch| {
        let root = sketch.self_signed();
        table.rejects(name, text, &[&root], &[&leaf(&root)]);
    };
    bad("an authority without extensions", NO_AUTHORITY, Sketch::plain("plain"));
    bad("an authority that is none", NO_AUTHORITY, Sketch::plain("none").with(basic(false, None)));
    let encipherment = Sketch::plain("usage").with(basic(true, None)).with(key_usage(&[2]));
    bad("an authority whose key does not sign", NO_AUTHORITY, encipherment);
    bad("an authority for servers", USAGE, Sketch::authority("servers").with(usages(&[SERVER])));
    bad(
        "an authority that has expired",
        EXPIRED,
        Sketch::authority("late").valid("20000101000000Z", "20010101000000Z"),
    );
    bad(
        "an authority of the future",
        EXPIRED,
        Sketch::authority("early").valid("90000101000000Z", "90010101000000Z"),
    );
    bad(
        "an authority with a critical extension",
        CRITICAL,
        Sketch::authority("critical").with(unknown(true)),
    );

    let own = root("its own");
    table.accepts("the authority itself", &[&own], &[&own]);
    let lone = Sketch::leaf("lone").self_signed();
    table.accepts("its own authority, in the file", &[&lone], &[&lone]);
    let late = Sketch::leaf("lone and late").valid("20000101000000Z", "20010101000000Z").self_signed();
    table.rejects("its own authority, expired", EXPIRED, &[&late], &[&late]);
    let unlisted = Sketch::leaf("stranger").self_signed();
    let stranger = untrusted!("certificate signed by unknown authority");
    table.rejects("its own authority, not in the file", stranger, &[], &[&unlisted]);
    let (real, false_one) = (root("of this name"), root("of this name"));
    let text = untrusted!(
        "certificate signed by unknown authority (possibly because of \"x509: ECDSA verification failure\" while trying \
         to verify candidate authority certificate \"of this name\")"
    );
    table.rejects("another authority of the same name", text, &[&real], &[&leaf(&false_one)]);
}

/// Authorities between the last certificate and that of the file.
fn chains(table: &mut Table) {
    let leaf = |by: &Signed| Sketch::leaf("leaf").signed_by(by);
    let a = root("chains");
    let b = Sketch::authority("between").signed_by(&a);
    let c = Sketch::authority("between too").signed_by(&b);
    table.accepts("one between", &[&a], &[&leaf(&b), &b]);
    let last = leaf(&c);
    table.accepts("two between", &[], &[&last, &c, &b]);
    table.accepts("two between, in another order", &[], &[&last, &b, &c]);
    let other = root("superfluous");
    table.accepts("superfluous ones", &[], &[&last, &other, &c, &b, &a]);
    table.accepts("the same twice", &[], &[&last, &last, &c, &c, &b, &b]);
    let stranger = untrusted!("certificate signed by unknown authority");
    table.rejects("one missing", stranger, &[], &[&last, &c]);

    let mut between = |name, text: Option<&'static str>, sketch: Sketch| {
        let root = root(name);
        let between = sketch.signed_by(&root);
        table.add(name, &[&root], &[&leaf(&between), &between], text);
    };
    between("an intermediate for everything", None, Sketch::authority("b").with(usages(&[ANY])));
    between(
        "an intermediate that is no authority",
        Some(NO_AUTHORITY),
        Sketch::plain("b").with(basic(false, None)),
    );
    let signer = Sketch::plain("b").with(basic(true, None)).with(key_usage(&[0, 2]));
    between("an intermediate whose key does not sign", Some(NO_AUTHORITY), signer);
    let old = untrusted!("certificate is not authorized to sign other certificates");
    between("an intermediate of version 1", Some(old), Sketch::plain("b").version(1));
    between("an intermediate for servers", Some(USAGE), Sketch::authority("b").with(usages(&[SERVER])));
    let late = Sketch::authority("b").valid("20000101000000Z", "20010101000000Z");
    between("an intermediate that has expired", Some(EXPIRED), late);
    between(
        "an intermediate with a critical extension",
        Some(CRITICAL),
        Sketch::authority("b").with(unknown(true)),
    );

    let short = Sketch::plain("short").with(basic(true, Some(0))).self_signed();
    let b = Sketch::authority("b").signed_by(&short);
    let long = untrusted!("too many intermediates for path length constraint");
    table.rejects("a path longer than its authority permits", long, &[&short], &[&leaf(&b), &b]);
    let one = Sketch::plain("one").with(basic(true, Some(1))).self_signed();
    let b = Sketch::authority("b").signed_by(&one);
    table.accepts("a path as long as its authority permits", &[&one], &[&leaf(&b), &b]);
}

/// Authorities with several certificates.
fn crossings(table: &mut Table) {
    let (old, new) = (root("old"), root("new"));
    let shared = key();
    let by_old = Sketch::authority("crossed").signed_with(&shared, &old);
    let by_new = Sketch::authority("crossed").signed_with(&shared, &new);
    let last = Sketch::leaf("leaf").signed_by(&by_old);
    table.accepts("signed by two, the first is trusted", &[&new], &[&last, &by_new, &by_old]);
    table.accepts("signed by two, the last is trusted", &[], &[&last, &by_old, &by_new]);
    let stranger = untrusted!("certificate signed by unknown authority");
    table.rejects("signed by two, none of which is trusted", stranger, &[], &[&last, &by_old]);

    let top = root("renewed");
    let expired =
        Sketch::authority("b").valid("20000101000000Z", "20010101000000Z").signed_with(&shared, &top);
    let renewed = Sketch::authority("b").signed_with(&shared, &top);
    let last = Sketch::leaf("leaf").signed_by(&renewed);
    table.accepts("renewed, and the expired one beside it", &[&top], &[&last, &expired, &renewed]);

    let [first, second] =
        [b"1", b"2"].map(|id| Sketch::authority("same name").with(subject_key(id)).self_signed());
    let last = Sketch::leaf("leaf").with(authority_key(b"2")).signed_by(&second);
    table.accepts("two authorities of one name", &[&first, &second], &[&last]);

    let unlisted = root("many");
    let last = Sketch::leaf("leaf").signed_by(&unlisted);
    let candidates: Vec<_> = (0..101).map(|_| root("many")).collect();
    let chain: Vec<_> = std::iter::once(&last).chain(&candidates).collect();
    let limit = untrusted!("signature check attempts limit reached while verifying certificate chain");
    table.rejects("more candidates than are looked at", limit, &[], &chain);

    // Two that have signed each other, and no authority.
    let (a, b) = (key(), key());
    let self_a = Sketch::authority("circle a").self_signed_with(&a);
    let self_b = Sketch::authority("circle b").self_signed_with(&b);
    let a_by_b = Sketch::authority("circle a").signed_with(&a, &self_b);
    let b_by_a = Sketch::authority("circle b").signed_with(&b, &self_a);
    let last = Sketch::leaf("leaf").signed_by(&self_a);
    table.rejects("a circle", stranger, &[], &[&last, &a_by_b, &b_by_a, &self_a]);
}

/// What the last certificate is for.
fn purposes(table: &mut Table) {
    let mut check = |name, text: Option<&'static str>, list: &[&[u32]]| {
        let root = root(name);
        table.add(name, &[&root], &[&Sketch::plain("leaf").with(usages(list)).signed_by(&root)], text);
    };
    check("for clients alone", None, &[CLIENT]);
    check("for everything", None, &[ANY]);
    check("for an empty list", None, &[]);
    check("for code and clients", None, &[CODE, CLIENT]);
    check("for servers alone", Some(USAGE), &[SERVER]);
    check("for code alone", Some(USAGE), &[CODE]);
    check("for something unknown", Some(USAGE), &[&[1, 2, 3]]);
}

/// When the last certificate is good.
fn times(table: &mut Table) {
    let mut check = |name, text: Option<&'static str>, begin, end| {
        let root = root(name);
        table.add(name, &[&root], &[&Sketch::leaf("leaf").valid(begin, end).signed_by(&root)], text);
    };
    check("good for ever", None, "19000101000000Z", "99991231235959Z");
    check("good from the year 0 on", None, "00000101000000Z", "90000101000000Z");
    check("expired", Some(EXPIRED), "20000101000000Z", "20010101000000Z");
    check("of the future", Some(EXPIRED), "90000101000000Z", "99991231235959Z");
    check("ends before it begins", Some(EXPIRED), "90000101000000Z", "20010101000000Z");
}

/// Extensions that must not be ignored.
fn critical(table: &mut Table) {
    let mut check = |name, text: Option<&'static str>, extension| {
        let root = root(name);
        table.add(name, &[&root], &[&Sketch::leaf("leaf").with(extension).signed_by(&root)], text);
    };
    check("a critical key usage", None, key_usage(&[0]));
    check("an unknown critical extension", Some(CRITICAL), unknown(true));
    let names = super::der::sequence(&[&super::der::field(8, &[42, 3])]);
    check("critical names of an unknown kind", Some(CRITICAL), other(&[2, 5, 29, 17], true, &names));
}

/// Signatures that prove nothing.
fn signatures(table: &mut Table) {
    let damaged = root("signatures");
    let text = untrusted!(
        "certificate signed by unknown authority (possibly because of \"x509: ECDSA verification failure\" while trying \
         to verify candidate authority certificate \"signatures\")"
    );
    let leaf = Sketch::leaf("leaf").signature(Signature::Damaged).signed_by(&damaged);
    table.rejects("a damaged signature", text, &[&damaged], &[&leaf]);
    let weak = root("weak");
    let text = untrusted!(
        "certificate signed by unknown authority (possibly because of \"x509: cannot verify signature: insecure \
         algorithm MD5-RSA\" while trying to verify candidate authority certificate \"weak\")"
    );
    table.rejects("MD5", text, &[&weak], &[&Sketch::leaf("leaf").signature(Signature::Md5).signed_by(&weak)]);
}

/// Certificates that can't be read, beside one that is good.
fn malformed(table: &mut Table) {
    let root = root("readable");
    let leaf = Sketch::leaf("leaf").signed_by(&root);
    let mut check = |name, text, sketch: Sketch| {
        table.rejects(name, text, &[], &[&leaf, &sketch.signed_by(&root)]);
    };
    let negative = "tls: failed to parse client certificate: x509: negative serial number";
    check("a number below zero", negative, Sketch::leaf("b").serial(&[0x80]));
    let version = "tls: failed to parse client certificate: x509: invalid version";
    check("X.509 version 4", version, Sketch::leaf("b").version(4));
    let twice = "tls: failed to parse client certificate: x509: certificate contains duplicate extension with OID \
                 \"1.2.3.4\"";
    check("an extension twice", twice, Sketch::leaf("b").with(unknown(false)).with(unknown(false)));
    let time = "tls: failed to parse client certificate: x509: malformed GeneralizedTime";
    check("a day that no month has", time, Sketch::leaf("b").valid("20230230000000Z", "90000101000000Z"));
    check("a number with superfluous bytes", MALFORMED, Sketch::leaf("b").serial(&[0, 0, 7]));
    check("names that are not ASCII", MALFORMED, Sketch::leaf("b").with(names(&[(Kind::Host, b"\xff")])));
    check("an address of 5 bytes", MALFORMED, Sketch::leaf("b").with(names(&[(Kind::Address, &[1; 5])])));
    let marked =
        "tls: failed to parse client certificate: x509: subject key identifier incorrectly marked critical";
    let id = super::der::value(super::der::OCTET_STRING, &[b"id"]);
    check("a critical name of the key", marked, Sketch::leaf("b").with(other(&[2, 5, 29, 14], true, &id)));
    let empty = other(&[2, 5, 29, 30], true, &super::der::sequence(&[]));
    check("empty constraints", MALFORMED, Sketch::leaf("b").with(empty));
    let mut trailing = Sketch::leaf("b").signed_by(&root);
    let mut nonsense = trailing.clone();
    nonsense.der = vec![0x30, 0];
    trailing.der.push(0);
    let text = "tls: failed to parse client certificate: x509: trailing data";
    table.rejects("something behind the certificate", text, &[], &[&leaf, &trailing]);
    table.rejects("nonsense", MALFORMED, &[], &[&leaf, &nonsense]);
    let trusting = Sketch::leaf("leaf").signed_by(&root);
    table.accepts("readable ones", &[&root], &[&trusting]);
}
