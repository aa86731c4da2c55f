//! From the command line to a configuration, with the log on the way.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::process::ExitCode;

use ferretcd_flags::{LoadError, Settings, load, redact, redact_args};
use ferretcd_logging::{LevelHandle, LogOptions};
use tracing::{error, info, warn};

use crate::config::{ProgramConfig, log_options, translate};
use crate::diagnostic::Diagnostic;
use crate::error::ConfigError;

/// Adds environment or configuration file to what the command line says, starts the log and checks everything. Returns the
/// configuration, and what the level of the log can be changed by.
///
/// `args` are all arguments, for the log. `variables` is the environment. An error is logged here; what is returned is the
/// exit status.
pub(crate) fn configure(
    args: &[String],
    settings: Settings,
    leftover: Option<String>,
    variables: &BTreeMap<String, String>,
) -> Result<(ProgramConfig, LevelHandle), ExitCode> {
    let mut sources = Vec::new();
    let loaded = load(settings, leftover, variables, &mut sources);
    let mut diagnostics: Vec<_> = sources.into_iter().map(Diagnostic::Source).collect();
    let result = loaded.map_err(ConfigError::from).and_then(|settings| {
        let options = log_options(&settings)?;
        let level = ferretcd_logging::start(&options, || diagnostics.push(Diagnostic::JournalUnavailable))?;
        let mut config = translate(&settings, default_host, &mut diagnostics)?;
        config.server.http.command_line = redact_args(args);
        Ok((config, level))
    });
    // Without effect if the log has been started.
    let _ = ferretcd_logging::start(&LogOptions::default(), || {});
    diagnostics.iter().for_each(Diagnostic::log);
    info!("args[]" = ?redact_args(args), "Running: ");
    result.map_err(|error| {
        log_error(&error);
        ExitCode::FAILURE
    })
}

fn log_error(error: &ConfigError) {
    if let ConfigError::Load(LoadError::ShadowedVariable { variable, value }) = error {
        error!(
            level = "fatal",
            "environment-variable" = format!("{variable}={}", redact(variable, value)),
            "{error}"
        );
        return;
    }
    warn!(%error, "failed to verify flags");
    if let ConfigError::AdvertiseClientUrlsUnset = error {
        warn!(%error, "advertise client URLs are not set");
    }
}

/// This machine's address on its default route. Connecting a datagram socket sends nothing; it makes the kernel choose
/// the source address of packets to the destination, which is reserved for documentation.
pub(crate) fn default_host() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}
