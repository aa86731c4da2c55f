//! Passwords and tokens.

use std::time::Duration;

use ferretcd_embed::{Auth, BCRYPT_COST_DEFAULT, BCRYPT_COST_MAX, BCRYPT_COST_MIN, TokenSpec, Tokens};
use ferretcd_flags::{Nanos, Settings};

use crate::diagnostic::Diagnostic;
use crate::error::ConfigError;

/// Of tokens of both kinds.
const TTL_DEFAULT: Duration = Duration::from_secs(300);

pub(super) fn auth(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Result<Auth, ConfigError> {
    let tokens = match TokenSpec::parse(&settings.text("auth-token"))? {
        TokenSpec::NoTokens => Tokens::None,
        TokenSpec::Simple => {
            diagnostics.push(Diagnostic::SimpleTokens);
            let seconds = settings.uint("auth-token-ttl");
            let ttl = if seconds == 0 { TTL_DEFAULT } else { Duration::from_secs(seconds) };
            Tokens::Simple { ttl }
        }
        TokenSpec::Jwt { sign_method: method, public_key, private_key, ttl, unknown } => {
            if !unknown.is_empty() {
                diagnostics.push(Diagnostic::UnknownJwtOptions { keys: unknown });
            }
            Tokens::Jwt { method, public_key, private_key, ttl: ttl.map_or(Ok(TTL_DEFAULT), jwt_ttl)? }
        }
    };
    Ok(Auth { tokens, bcrypt_cost: bcrypt_cost(settings, diagnostics) })
}

fn jwt_ttl(text: String) -> Result<Duration, ConfigError> {
    let ttl = text.parse::<Nanos>().ok().map(Nanos::at_least_zero).filter(|ttl| !ttl.is_zero());
    ttl.ok_or(ConfigError::TokenTtl(text))
}

fn bcrypt_cost(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> u32 {
    let given = settings.uint("bcrypt-cost");
    let cost = u32::try_from(given).ok().filter(|cost| (BCRYPT_COST_MIN..=BCRYPT_COST_MAX).contains(cost));
    cost.unwrap_or_else(|| {
        diagnostics.push(Diagnostic::BcryptCost { given });
        BCRYPT_COST_DEFAULT
    })
}

#[cfg(test)]
mod tests {
    use ferretcd_embed::SignMethod;

    use super::*;
    use crate::config::translate::tests::try_config;

    fn check(flags: &[&str], tokens: &Tokens, cost: u32) {
        let (config, _) = try_config(flags).expect("a configuration");
        assert_eq!((&config.server.auth.tokens, config.server.auth.bcrypt_cost), (tokens, cost));
    }

    fn check_error(flag: &str, parts: &[&str]) {
        let error = try_config(&[flag]).expect_err("it is rejected").to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }

    #[test]
    fn tokens_are_those_of_the_flags() {
        let simple = |seconds| Tokens::Simple { ttl: Duration::from_secs(seconds) };
        check(&[], &simple(300), 10);
        check(&["--auth-token-ttl=7", "--bcrypt-cost=4"], &simple(7), 4);
        check(&["--auth-token-ttl=0", "--bcrypt-cost=32"], &simple(300), 10);
        check(&["--auth-token="], &Tokens::None, 10);
        let jwt = |ttl| Tokens::Jwt {
            method: SignMethod::Es256,
            public_key: None,
            private_key: Some("k.pem".into()),
            ttl,
        };
        check(&["--auth-token=jwt,sign-method=ES256,priv-key=k.pem"], &jwt(TTL_DEFAULT), 10);
        check(
            &["--auth-token=jwt,ttl=1m30s,sign-method=ES256,priv-key=k.pem"],
            &jwt(Duration::from_secs(90)),
            10,
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        check_error("--auth-token=jot", &["--auth-token", "jot"]);
        check_error("--auth-token=jwt", &["--auth-token", "sign-method"]);
        check_error("--auth-token=jwt,sign-method=RS1", &["--auth-token", "RS1"]);
        for ttl in ["0s", "-1s", "5"] {
            check_error(
                &format!("--auth-token=jwt,sign-method=RS256,ttl={ttl}"),
                &["--auth-token", "ttl", ttl],
            );
        }
    }

    #[test]
    fn diagnostics_tell_what_is_not_taken() {
        let (_, diagnostics) = try_config(&["--bcrypt-cost=3", "--auth-token=jwt,sign-method=HS256,b=1,a=2"])
            .expect("a configuration");
        assert!(diagnostics.contains(&Diagnostic::BcryptCost { given: 3 }));
        let keys = vec!["a".to_owned(), "b".to_owned()];
        assert!(diagnostics.contains(&Diagnostic::UnknownJwtOptions { keys }));
    }
}
