//! Keys in every form, and tokens that golang-jwt 5.3.1 has signed with them. The keys were made for these tests.

use ferretcd_auth::{Claims, JwtKeyError, JwtKeys, JwtRejected, KeyFile, SignError, SignMethod};

/// The second at which the tokens of golang-jwt expire.
const EXPIRES: i64 = 4_102_444_800;

/// Pairs of a method and a token.
const TOKENS: &str = include_str!("jwt/tokens");

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("jwt/", $name)).as_slice()
    };
}

/// The keys of one kind in all their forms; the first ones are the usual ones.
struct Keys {
    methods: &'static [SignMethod],
    private: Vec<&'static [u8]>,
    public: Vec<&'static [u8]>,
}

fn all_keys() -> [Keys; 6] {
    use SignMethod::{
        EdDsa, Es256, Es384, Es512, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512,
    };
    [
        Keys {
            methods: &[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512],
            private: vec![file!("rsa-private.pem"), file!("rsa-private-pkcs1.pem")],
            public: vec![
                file!("rsa-public.pem"),
                file!("rsa-public-pkcs1.pem"),
                file!("rsa-certificate.pem"),
            ],
        },
        Keys {
            methods: &[Es256],
            private: vec![file!("p256-private.pem"), file!("p256-private-sec1.pem")],
            public: vec![file!("p256-public.pem"), file!("p256-certificate.pem")],
        },
        Keys {
            methods: &[Es384],
            private: vec![file!("p384-private.pem"), file!("p384-private-sec1.pem")],
            public: vec![file!("p384-public.pem"), file!("p384-certificate.pem")],
        },
        Keys {
            methods: &[Es512],
            private: vec![file!("p521-private.pem"), file!("p521-private-sec1.pem")],
            public: vec![file!("p521-public.pem"), file!("p521-certificate.pem")],
        },
        Keys {
            methods: &[EdDsa],
            private: vec![file!("ed25519-private.pem")],
            public: vec![file!("ed25519-public.pem"), file!("ed25519-certificate.pem")],
        },
        Keys { methods: &[Hs256, Hs384, Hs512], private: vec![file!("secret")], public: Vec::new() },
    ]
}

/// Every method with its keys.
fn methods() -> Vec<(SignMethod, Keys)> {
    SignMethod::ALL
        .into_iter()
        .map(|method| {
            let keys = all_keys().into_iter().find(|keys| keys.methods.contains(&method));
            (method, keys.expect("each method has keys"))
        })
        .collect()
}

fn token_of_go(method: SignMethod) -> &'static str {
    let mut tokens = TOKENS.lines().filter_map(|line| line.split_once(' '));
    tokens.find(|(name, _)| *name == method.name()).expect("there is one of each method").1
}

fn claims(username: &str, revision: u64) -> Claims {
    Claims { username: username.into(), revision }
}

#[test]
fn tokens_of_go_are_valid() {
    for (method, Keys { private, public, .. }) in methods() {
        let token = token_of_go(method).as_bytes();
        let private = private.into_iter().map(|file| JwtKeys::from_files(method, None, Some(file)));
        let public = public.into_iter().map(|file| JwtKeys::from_files(method, Some(file), None));
        for keys in private.chain(public) {
            let keys = keys.expect("the form is supported");
            assert_eq!(keys.method(), method);
            assert_eq!(keys.verify(token, EXPIRES - 1), Ok(claims("älice <&> \"b\"", 7)), "{method}");
            assert_eq!(keys.verify(token, EXPIRES), Err(JwtRejected::Expired), "{method}");
        }
    }
}

#[test]
fn own_tokens_are_valid() {
    for (method, Keys { private, public, .. }) in methods() {
        for private in private {
            let keys = JwtKeys::from_files(method, public.first().copied(), Some(private));
            let keys = keys.expect("they belong together");
            assert!(keys.can_sign());
            let token = keys.sign("\u{1F511} \"'\\\n", 1 << 53, 1000).expect("there is a key");
            let [header, _, _] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
            assert!(token_of_go(method).starts_with(header), "{method}");
            assert_eq!(
                keys.verify(token.as_bytes(), 999),
                Ok(claims("\u{1F511} \"'\\\n", 1 << 53)),
                "{method}"
            );
            assert_eq!(keys.verify(token.as_bytes(), 1000), Err(JwtRejected::Expired), "{method}");
            for public in &public {
                let keys = JwtKeys::from_files(method, Some(public), None).expect("the form is supported");
                assert!(keys.verify(token.as_bytes(), 999).is_ok(), "{method}");
            }
        }
    }
}

#[test]
fn a_public_key_alone_only_checks() {
    for (method, Keys { public, .. }) in methods().into_iter().filter(|(_, keys)| !keys.public.is_empty()) {
        let keys = JwtKeys::from_files(method, Some(public[0]), None).expect("the form is supported");
        assert!(!keys.can_sign());
        let error = keys.sign("a", 1, EXPIRES).expect_err("there is no key for it");
        assert_eq!(error, SignError::VerifyOnly);
        assert_eq!(error.to_string(), "auth: token signing attempted with verify-only key");
    }
}

#[test]
fn tokens_of_other_methods_are_rejected() {
    for (method, Keys { private, .. }) in methods() {
        let keys = JwtKeys::from_files(method, None, Some(private[0])).expect("the form is supported");
        for other in SignMethod::ALL.into_iter().filter(|other| *other != method) {
            let found = keys.verify(token_of_go(other).as_bytes(), 0);
            assert_eq!(found, Err(JwtRejected::SignMethod), "{method} {other}");
        }
    }
}

#[test]
fn damaged_signatures_are_rejected() {
    for (method, Keys { private, .. }) in methods() {
        let keys = JwtKeys::from_files(method, None, Some(private[0])).expect("the form is supported");
        let token = token_of_go(method);
        let (signed, signature) = token.rsplit_once('.').expect("there are dots");
        for signature in ["", "AAAA", &signature[4..], &format!("AAAA{signature}")] {
            let found = keys.verify(format!("{signed}.{signature}").as_bytes(), 0);
            assert_eq!(found, Err(JwtRejected::Signature), "{method} {signature}");
        }
        let other = signature.replacen(|c: char| c != 'A', "A", 1);
        let found = keys.verify(format!("{signed}.{other}").as_bytes(), 0);
        assert_eq!(found, Err(JwtRejected::Signature), "{method}");
    }
}

/// golang-jwt would accept it; RFC 7518 wants a salt as long as the hash.
#[test]
fn a_longer_salt_is_rejected() {
    let keys =
        JwtKeys::from_files(SignMethod::Ps256, Some(file!("rsa-public.pem")), None).expect("it is a key");
    let token = file!("token-long-salt").trim_ascii();
    assert_eq!(keys.verify(token, 0), Err(JwtRejected::Signature));
}

/// The public key is no secret; it must not become one of an HMAC.
#[test]
fn a_public_key_is_no_secret() {
    let public = file!("rsa-public.pem");
    let forger = JwtKeys::from_files(SignMethod::Hs256, None, Some(public)).expect("any bytes are a secret");
    let forged = forger.sign("root", 1, EXPIRES).expect("HMAC signs");
    let keys = JwtKeys::from_files(SignMethod::Rs256, Some(public), None).expect("it is a key");
    assert_eq!(keys.verify(forged.as_bytes(), 0), Err(JwtRejected::SignMethod));
}

#[track_caller]
fn rejected(
    method: SignMethod,
    public: Option<&[u8]>,
    private: Option<&[u8]>,
    expected: JwtKeyError,
    text: &str,
) {
    let error = JwtKeys::from_files(method, public, private).expect_err(text);
    assert_eq!((error, error.to_string()), (expected, format!("set up {method} tokens: {text}")));
}

#[test]
fn missing_keys() {
    for (method, keys) in methods() {
        let has_public = !keys.public.is_empty();
        let text = if has_public {
            "no key is given; name one as priv-key for signing and checking, or as pub-key for checking alone"
        } else {
            "no key is given; name the file with the secret as priv-key"
        };
        for nothing in [None, Some(&b""[..])] {
            rejected(method, nothing, nothing, JwtKeyError::MissingKey(method), text);
        }
        if !has_public {
            rejected(method, Some(b"a"), None, JwtKeyError::MissingKey(method), text);
        }
    }
}

#[test]
fn keys_of_other_pairs() {
    for (method, Keys { methods, private, .. }) in methods() {
        let other = match methods {
            [SignMethod::Rs256, ..] => file!("rsa-other-public.pem"),
            _ => continue,
        };
        let text = "pub-key does not belong to priv-key; name the public key of the same pair, or none";
        rejected(method, Some(other), Some(private[0]), JwtKeyError::KeyMismatch(method), text);
    }
}

/// Each key is tried with each method of other kinds.
#[test]
fn keys_of_other_kinds() {
    for (method, keys) in methods().into_iter().filter(|(_, keys)| !keys.public.is_empty()) {
        let needed = match method.name() {
            "ES256" => "a key on the curve P-256",
            "ES384" => "a key on the curve P-384",
            "ES512" => "a key on the curve P-521",
            "EdDSA" => "an Ed25519 key",
            _ => "an RSA key of 2048 to 8192 bits",
        };
        let others = all_keys().into_iter().filter(|other| other.methods != keys.methods);
        for other in others.filter(|other| !other.public.is_empty()) {
            for private in other.private {
                let text = format!("priv-key does not fit the sign-method; it needs {needed}");
                let expected = JwtKeyError::Unfit { method, file: KeyFile::Private };
                rejected(method, Some(keys.public[0]), Some(private), expected, &text);
            }
            for public in other.public {
                let text = format!("pub-key does not fit the sign-method; it needs {needed}");
                let expected = JwtKeyError::Unfit { method, file: KeyFile::Public };
                rejected(method, Some(public), Some(keys.private[0]), expected, &text);
            }
        }
    }
}

#[test]
fn small_keys() {
    for method in [SignMethod::Rs256, SignMethod::Ps512] {
        let needed = "does not fit the sign-method; it needs an RSA key of 2048 to 8192 bits";
        let (public, private) = (file!("rsa-1024-public.pem"), file!("rsa-1024-private.pem"));
        let expected = |file| JwtKeyError::Unfit { method, file };
        rejected(method, Some(public), None, expected(KeyFile::Public), &format!("pub-key {needed}"));
        rejected(method, None, Some(private), expected(KeyFile::Private), &format!("priv-key {needed}"));
    }
}

#[test]
fn files_of_other_forms() {
    let method = SignMethod::Es256;
    let needed = "has no whole PEM section; it needs a key on the curve P-256";
    let cut = &file!("p256-private.pem")[..100];
    for file in [&b"text"[..], b"\0\xff", cut] {
        let expected = JwtKeyError::NoPem { method, file: KeyFile::Private };
        rejected(method, None, Some(file), expected, &format!("priv-key {needed}"));
        let expected = JwtKeyError::NoPem { method, file: KeyFile::Public };
        rejected(method, Some(file), None, expected, &format!("pub-key {needed}"));
    }
    let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let expected = JwtKeyError::Encrypted { method, file: KeyFile::Private };
    let text = "priv-key is encrypted; store the key without a password";
    rejected(method, None, Some(encrypted), expected, text);
    // A private key is no public one.
    let expected = JwtKeyError::Unfit { method, file: KeyFile::Public };
    let text = "pub-key does not fit the sign-method; it needs a key on the curve P-256";
    rejected(method, Some(file!("p256-private.pem")), None, expected, text);
}

/// As `openssl ecparam -genkey` writes them: the name of the curve comes first.
#[test]
fn sections_before_a_key_do_not_matter() {
    let parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let file = [parameters, file!("p256-private-sec1.pem")].concat();
    let keys = JwtKeys::from_files(SignMethod::Es256, None, Some(&file)).expect("there is a key");
    assert!(keys.verify(token_of_go(SignMethod::Es256).as_bytes(), 0).is_ok());
}

/// Wherever the damage is: some of it is in no part that is looked at, and the rest is an error.
#[test]
fn damaged_files_do_not_panic() {
    for Keys { methods, private, public } in all_keys() {
        for file in private.into_iter().chain(public) {
            for at in (0..file.len()).step_by(7) {
                let mut damaged = file.to_vec();
                damaged[at] ^= 1;
                for file in [&damaged, &file[..at]] {
                    _ = JwtKeys::from_files(methods[0], Some(file), None);
                    _ = JwtKeys::from_files(methods[0], None, Some(file));
                }
            }
        }
    }
}
