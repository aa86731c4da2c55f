//! Command lines and variables without the passwords and tokens in them.

/// The arguments with the passwords among the values of flags replaced.
pub fn redact_args(args: &[String]) -> Vec<String> {
    let is_secret = |flag: &str| {
        matches!(flag.trim_start_matches('-'), "discovery-password" | "discovery-token" | "discovery-user")
    };
    let mut before = "";
    args.iter()
        .map(|arg| {
            let flag = std::mem::replace(&mut before, arg);
            match arg.split_once('=') {
                _ if is_secret(flag) => redact(flag, arg),
                Some((flag, value)) => format!("{flag}={}", redact(flag, value)),
                None => arg.clone(),
            }
        })
        .collect()
}

/// The value of a flag or a variable as it may be shown.
pub fn redact(name: &str, value: &str) -> String {
    let name = name.trim_start_matches('-').to_ascii_lowercase().replace('_', "-");
    // The token admits to a cluster that is being founded.
    if !value.is_empty() && (name.ends_with("discovery-password") || name.ends_with("discovery-token")) {
        return "********".to_owned();
    }
    match value.split_once(':') {
        Some((user, _)) if name.ends_with("discovery-user") => format!("{user}:********"),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::redact_args;

    #[test]
    fn passwords_are_redacted() {
        fn check(args: &[&str], expected: &[&str]) {
            let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
            assert_eq!(redact_args(&args), expected);
        }
        check(&["etcd", "--name", "a=b"], &["etcd", "--name", "a=b"]);
        check(&["--discovery-password", "x", "y"], &["--discovery-password", "********", "y"]);
        check(
            &["--discovery-token", "x", "--discovery-token="],
            &["--discovery-token", "********", "--discovery-token="],
        );
        check(&["-discovery-password=x=y", "z"], &["-discovery-password=********", "z"]);
        check(&["--discovery-password=x:y"], &["--discovery-password=********"]);
        check(&["--discovery-user=u:x:y", "u:x"], &["--discovery-user=u:********", "u:x"]);
        check(&["-discovery-user", "u:x", "u:x"], &["-discovery-user", "u:********", "u:x"]);
        check(&["--discovery-user=u"], &["--discovery-user=u"]);
        check(&["--discovery-password", "-x=y"], &["--discovery-password", "********"]);
        check(&["--pre-vote", "--discovery-user=u:x"], &["--pre-vote", "--discovery-user=u:********"]);
    }
}
