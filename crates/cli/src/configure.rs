//! From the command line to a configuration, with the log on the way.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::process::ExitCode;

use tracing::{error, info, warn};

use crate::config::{self, Config};
use crate::error::ConfigError;
use crate::flags::{Settings, read_environment, read_file};
use crate::logging::{self, LogOptions};
use crate::notice::Notice;

/// Adds environment or configuration file to what the command line says, starts the log and checks everything.
///
/// `args` are all arguments, for the log. `variables` is the environment. What is wrong has been logged when this
/// fails; the error is the exit status.
pub fn configure(
    args: &[String],
    settings: Settings,
    leftover: Option<String>,
    variables: &BTreeMap<String, String>,
) -> Result<Config, ExitCode> {
    let mut notices = Vec::new();
    let result = load(settings, leftover, variables, &mut notices).and_then(|settings| {
        logging::start(&LogOptions::from_settings(&settings)?, &mut notices)?;
        config::build(&settings, default_host, &mut notices)
    });
    // Without effect if the log has been started.
    let _ = logging::start(&LogOptions::default(), &mut Vec::new());
    notices.iter().for_each(Notice::log);
    info!("args[]" = ?without_password(args), "Running: ");
    result.map_err(|error| {
        log_error(&error);
        ExitCode::FAILURE
    })
}

/// The settings of the configuration file if one is named, else those of command line and environment.
fn load(
    mut settings: Settings,
    leftover: Option<String>,
    variables: &BTreeMap<String, String>,
    notices: &mut Vec<Notice>,
) -> Result<Settings, ConfigError> {
    if let Some(argument) = leftover {
        return Err(ConfigError::Positional(argument));
    }
    let file = match settings.text("config-file") {
        file if file.is_empty() => variables.get("ETCD_CONFIG_FILE").cloned().unwrap_or_default(),
        file => file,
    };
    if !file.is_empty() {
        return read_file(file.as_ref(), notices);
    }
    read_environment(&mut settings, variables, notices)?;
    Ok(settings)
}

fn log_error(error: &ConfigError) {
    if let ConfigError::ShadowedVariable { variable, value } = error {
        error!(
            level = "fatal",
            "environment-variable" = format!("{variable}={}", without_secret(variable, value)),
            "{error}"
        );
        return;
    }
    warn!(%error, "failed to verify flags");
    if let ConfigError::AdvertiseClientUrlsUnset = error {
        warn!(%error, "advertise client URLs are not set");
    }
}

/// The arguments with the passwords among the values of flags replaced.
fn without_password(args: &[String]) -> Vec<String> {
    let is_secret =
        |flag: &str| matches!(flag.trim_start_matches('-'), "discovery-password" | "discovery-user");
    let mut before = "";
    args.iter()
        .map(|arg| {
            let flag = std::mem::replace(&mut before, arg);
            match arg.split_once('=') {
                _ if is_secret(flag) => without_secret(flag, arg),
                Some((flag, value)) => format!("{flag}={}", without_secret(flag, value)),
                None => arg.clone(),
            }
        })
        .collect()
}

/// The value of a flag or a variable as it may be shown.
pub(crate) fn without_secret(name: &str, value: &str) -> String {
    let name = name.trim_start_matches('-').to_ascii_lowercase().replace('_', "-");
    if name.ends_with("discovery-password") {
        return "********".to_owned();
    }
    match value.split_once(':') {
        Some((user, _)) if name.ends_with("discovery-user") => format!("{user}:********"),
        _ => value.to_owned(),
    }
}

/// This machine's address on its default route. Connecting a datagram socket sends nothing; it makes the kernel
/// choose the address that packets to the destination, which is reserved for documentation, would have.
fn default_host() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn passwords_stay_out_of_the_log() {
        fn check(args: &[&str], expected: &[&str]) {
            let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
            assert_eq!(without_password(&args), expected);
        }
        check(&["etcd", "--name", "a=b"], &["etcd", "--name", "a=b"]);
        check(&["--discovery-password", "x", "y"], &["--discovery-password", "********", "y"]);
        check(&["-discovery-password=x=y", "z"], &["-discovery-password=********", "z"]);
        check(&["--discovery-password=x:y"], &["--discovery-password=********"]);
        check(&["--discovery-user=u:x:y", "u:x"], &["--discovery-user=u:********", "u:x"]);
        check(&["-discovery-user", "u:x", "u:x"], &["-discovery-user", "u:********", "u:x"]);
        check(&["--discovery-user=u"], &["--discovery-user=u"]);
        check(&["--discovery-password", "-x=y"], &["--discovery-password", "********"]);
        check(&["--pre-vote", "--discovery-user=u:x"], &["--pre-vote", "--discovery-user=u:********"]);
    }
}
