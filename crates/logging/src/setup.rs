//! Installs the logger for the process.

use std::panic::PanicHookInfo;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::error;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Registry, reload};

use crate::layer::LogLayer;
use crate::level::AtomicSeverity;
use crate::sampler::Sampler;
use crate::sink::Sink;
use crate::{LogOptions, OpenError, Output, Severity};

/// The level of a logger, to be changed while it runs. Clones share it.
#[derive(Clone, Debug)]
pub struct LevelHandle {
    level: Arc<AtomicSeverity>,
    targets: reload::Handle<Targets, Registry>,
}

impl LevelHandle {
    /// Writes lines of this level and above from now on. Without effect if the logger is not the one of the process.
    pub fn set(&self, level: Severity) {
        self.level.store(level);
        let _ = self.targets.reload(targets(level));
    }
}

/// Opens the outputs and installs the logger; panics are logged from then on, too.
///
/// The standard error replaces the journal if the journal can't be reached, which `journal_unavailable` is called
/// for. Only the first of several calls in a process has an effect.
pub fn start(options: &LogOptions, mut journal_unavailable: impl FnMut()) -> Result<LevelHandle, OpenError> {
    let mut sinks = Vec::new();
    for output in &options.outputs {
        match Sink::open(output, options.rotation)? {
            Some(sink) => sinks.push(sink),
            None => {
                journal_unavailable();
                if !options.outputs.contains(&Output::Stderr) {
                    sinks.push(Sink::Stderr);
                }
            }
        }
    }
    let level = Arc::new(AtomicSeverity::new(options.level));
    let layer = LogLayer {
        level: Arc::clone(&level),
        format: options.format,
        zone: TimeZone::system(),
        clock: Timestamp::now,
        sampler: Sampler::new(),
        sinks,
    };
    let (filter, targets) = reload::Layer::new(targets(options.level));
    let subscriber = tracing_subscriber::registry().with(filter).with(layer);
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            log_panic(info);
            default(info);
        }));
    }
    Ok(LevelHandle { level, targets })
}

/// Our own crates at the wanted level, others at warnings: at `debug` an HTTP/2 library alone would log several
/// lines per request.
fn targets(level: Severity) -> Targets {
    let level = level.filter();
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("ferretcd", level)
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    error!(level = "panic", place, "{}", message.unwrap_or("panic"));
}
