//! SIGHUP: what may change while the member runs is taken from the configuration file as it is now.
//!
//! Certificates, lists of revoked ones and keys of tokens need no signal: they are looked at anew by themselves.

use std::path::Path;

use ferretcd_embed::Server;
use ferretcd_flags::{Flag, Settings};
use ferretcd_logging::{LevelHandle, Severity};
use tracing::{error, info};

use crate::config::{ProgramConfig, log_options, translate};
use crate::configure::default_host;
use crate::diagnostic::Diagnostic;
use crate::error::ConfigError;

/// What is in force.
pub(crate) struct Reloads {
    /// Everything that the process was started with.
    started: Settings,
    /// The settings that were read last and accepted.
    last: Settings,
    level: LevelHandle,
}

impl Reloads {
    pub(crate) fn new(settings: Settings, level: LevelHandle) -> Self {
        Self { started: settings.clone(), last: settings, level }
    }

    /// Reads the configuration file and puts in force what may change. A file that the member could not start with
    /// changes nothing, nor does one that sets nothing. Blocks on the file, which has to be a regular one.
    pub(crate) fn reload(&mut self, server: &Server) {
        let Some(file) = self.started.file().map(Path::to_owned) else {
            info!(
                "received SIGHUP; there is no configuration file to read, and certificates and keys are looked at anew \
                 without a signal"
            );
            return;
        };
        let mut diagnostics = Vec::new();
        let judged = judge(&file, &self.started, &mut diagnostics);
        if let Ok((_, level)) = &judged {
            // Lines are written at the new level from here on.
            self.level.set(*level);
        }
        diagnostics.iter().for_each(Diagnostic::log);
        match judged {
            Ok((config, _)) => self.apply(&file, config, server),
            Err(error) => error!(
                path = %file.display(),
                %error,
                "failed to reload the configuration file; all settings stay in force; correct the file and send SIGHUP again"
            ),
        }
    }

    fn apply(&mut self, file: &Path, config: ProgramConfig, server: &Server) {
        let ProgramConfig { server: config, settings, .. } = config;
        let applied = self.last.differing(&settings).filter(|flag| flag.is_reloadable);
        let waiting = self.started.differing(&settings).filter(|flag| !flag.is_reloadable);
        let [applied, waiting] = [names(applied), names(waiting)];
        server.reload(&config);
        info!(
            path = %file.display(),
            "applied[]" = ?applied,
            "needs-restart[]" = ?waiting,
            "reloaded the configuration file"
        );
        self.last = settings;
    }
}

fn names(flags: impl Iterator<Item = &'static Flag>) -> Vec<&'static str> {
    flags.map(|flag| flag.name).collect()
}

/// Reads a file and judges it as at a start. Diagnostics are pushed even when this fails.
fn judge(
    file: &Path,
    started: &Settings,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<(ProgramConfig, Severity), ConfigError> {
    let mut sources = Vec::new();
    let reloaded = ferretcd_flags::reload(file, started, &mut sources);
    diagnostics.extend(sources.into_iter().map(Diagnostic::Source));
    let settings = reloaded?;
    let level = log_options(&settings)?.level;
    Ok((translate(&settings, default_host, diagnostics)?, level))
}
