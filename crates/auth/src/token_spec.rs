//! The value of the flag `--auth-token`, as etcd reads it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::SignMethod;

/// Which tokens a member gives out and accepts.
///
/// ```
/// use ferretcd_auth::{SignMethod, TokenSpec};
///
/// let spec = TokenSpec::parse("jwt,sign-method=ES256,priv-key=jwt.pem,ttl=10m")?;
/// let TokenSpec::Jwt { sign_method, ttl, .. } = spec else { unreachable!() };
/// assert_eq!((sign_method, ttl.as_deref()), (SignMethod::Es256, Some("10m")));
/// # Ok::<(), ferretcd_auth::TokenSpecError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSpec {
    /// Random letters that members remember.
    Simple,
    /// None at all; clients prove their identity by certificates.
    NoTokens,
    /// Signed ones, which members can check without remembering them.
    Jwt {
        /// How they are signed.
        sign_method: SignMethod,
        /// The file with the key for checking.
        public_key: Option<PathBuf>,
        /// The file with the key for signing, or the secret of the methods that have just one key.
        private_key: Option<PathBuf>,
        /// How long a token is valid, in Go's notation of durations; it has not been looked at. Five minutes in etcd,
        /// if there is none.
        ttl: Option<String>,
        /// Names of options that have no meaning, in byte order. etcd warns about them.
        unknown: Vec<String>,
    },
}

/// Why the flag is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenSpecError {
    /// A part between commas is no option.
    #[error("read --auth-token: option {0:?} is not of the form key=value, with one equals sign")]
    NoOption(String),
    /// An option is there more than once.
    #[error("read --auth-token: option {0:?} is given twice; leave one out")]
    Duplicate(String),
    /// There is no such kind of tokens.
    #[error(
        "read --auth-token: {0:?} is no type of tokens; use simple, jwt with options, or nothing for no tokens"
    )]
    UnknownType(String),
    /// The method of signing is not given.
    #[error("read --auth-token: jwt needs the option sign-method; use one of {all}", all = SignMethod::names())]
    NoSignMethod,
    /// The method of signing is none.
    #[error(
        "read --auth-token: sign-method {0:?} is not supported; use one of {all}",
        all = SignMethod::names()
    )]
    UnknownSignMethod(String),
}

impl TokenSpec {
    /// Reads the flag. Blanks count, and so does the case of letters. The options of types other than `jwt` must have
    /// the right form, and are ignored.
    pub fn parse(text: &str) -> Result<Self, TokenSpecError> {
        let mut parts = text.split(',');
        let kind = parts.next().unwrap_or_default();
        let options = options(parts)?;
        match kind {
            "simple" => Ok(Self::Simple),
            "" => Ok(Self::NoTokens),
            "jwt" => Self::jwt(options),
            _ => Err(TokenSpecError::UnknownType(kind.to_owned())),
        }
    }

    /// An option without a value is as good as none.
    fn jwt(mut options: BTreeMap<&str, &str>) -> Result<Self, TokenSpecError> {
        let mut take = |key| options.remove(key).filter(|value| !value.is_empty());
        let sign_method = take("sign-method").ok_or(TokenSpecError::NoSignMethod)?;
        let sign_method =
            sign_method.parse().map_err(|_| TokenSpecError::UnknownSignMethod(sign_method.to_owned()))?;
        let (public_key, private_key) =
            (take("pub-key").map(PathBuf::from), take("priv-key").map(PathBuf::from));
        let ttl = take("ttl").map(str::to_owned);
        let unknown = options.into_keys().map(str::to_owned).collect();
        Ok(Self::Jwt { sign_method, public_key, private_key, ttl, unknown })
    }
}

fn options<'a>(parts: impl Iterator<Item = &'a str>) -> Result<BTreeMap<&'a str, &'a str>, TokenSpecError> {
    let mut options = BTreeMap::new();
    for part in parts {
        let option = part.split_once('=').filter(|(_, value)| !value.contains('='));
        let (key, value) = option.ok_or_else(|| TokenSpecError::NoOption(part.to_owned()))?;
        if options.insert(key, value).is_some() {
            return Err(TokenSpecError::Duplicate(key.to_owned()));
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(text: &str, expected: &str) {
        let error = TokenSpec::parse(text).expect_err(text);
        assert_eq!(error.to_string(), format!("read --auth-token: {expected}"), "{text}");
    }

    #[test]
    fn types() {
        for (text, expected) in [
            ("simple", TokenSpec::Simple),
            ("simple,a=b,ttl=", TokenSpec::Simple),
            ("", TokenSpec::NoTokens),
            (",a=b", TokenSpec::NoTokens),
        ] {
            assert_eq!(TokenSpec::parse(text), Ok(expected), "{text}");
        }
        let supported = "use simple, jwt with options, or nothing for no tokens";
        for kind in ["Simple", " simple", "jwt=a", "none"] {
            rejected(kind, &format!("{kind:?} is no type of tokens; {supported}"));
        }
    }

    #[test]
    fn options_of_jwt() {
        let text = "jwt,priv-key=a b/c.pem,z=1,sign-method=PS384,=,pub-key=d,ttl=1h5m";
        let expected = TokenSpec::Jwt {
            sign_method: SignMethod::Ps384,
            public_key: Some("d".into()),
            private_key: Some("a b/c.pem".into()),
            ttl: Some("1h5m".to_owned()),
            unknown: vec![String::new(), "z".to_owned()],
        };
        assert_eq!(TokenSpec::parse(text), Ok(expected));
        let expected = TokenSpec::Jwt {
            sign_method: SignMethod::Hs256,
            public_key: None,
            private_key: None,
            ttl: None,
            unknown: Vec::new(),
        };
        assert_eq!(TokenSpec::parse("jwt,sign-method=HS256,pub-key=,priv-key=,ttl="), Ok(expected));
    }

    #[test]
    fn options_that_are_rejected() {
        let form = "is not of the form key=value, with one equals sign";
        for option in ["ttl", "", "pub-key=a=b", "a=="] {
            rejected(&format!("jwt,{option}"), &format!("option {option:?} {form}"));
            rejected(&format!("simple,{option}"), &format!("option {option:?} {form}"));
        }
        rejected("jwt,ttl=1m,ttl=1m", "option \"ttl\" is given twice; leave one out");
        let all = "use one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, HS256, HS384, HS512";
        for text in ["jwt", "jwt,sign-method=", "jwt,pub-key=a"] {
            rejected(text, &format!("jwt needs the option sign-method; {all}"));
        }
        for method in ["rs256", "none", "RS256 "] {
            rejected(
                &format!("jwt,sign-method={method}"),
                &format!("sign-method {method:?} is not supported; {all}"),
            );
        }
    }
}
