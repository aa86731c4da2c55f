//! The subscriber layer that turns events into lines.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::fields::{Fields, Heading, push_json_string};
use crate::level::AtomicSeverity;
use crate::sampler::Sampler;
use crate::sink::Sink;
use crate::time::format_time;
use crate::{Format, Severity};

/// Writes each event as a line to all sinks, in the thread that logs.
pub(super) struct LogLayer {
    pub(super) level: Arc<AtomicSeverity>,
    pub(super) format: Format,
    pub(super) zone: TimeZone,
    pub(super) clock: fn() -> Timestamp,
    pub(super) sampler: Sampler,
    pub(super) sinks: Vec<Sink>,
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        // First what decides: a flood of lines must not cost what writing them would.
        let mut heading = Heading::new(Severity::of(*metadata.level()));
        event.record(&mut heading);
        let severity = heading.severity;
        if severity < self.level.load() || !self.sampler.admit(severity, &heading.message) {
            return;
        }
        let mut fields = Fields::new(heading, self.format == Format::Console);
        event.record(&mut fields);
        let line = self.line(&fields, &caller(metadata));
        for sink in &self.sinks {
            sink.write(severity, &line);
        }
    }
}

impl LogLayer {
    fn line(&self, fields: &Fields, caller: &str) -> String {
        let time = format_time((self.clock)(), &self.zone);
        match self.format {
            Format::Json => json_line(fields, &time, caller),
            Format::Console => console_line(fields, &time, caller),
        }
    }
}

fn json_line(fields: &Fields, time: &str, caller: &str) -> String {
    let mut line = format!("{{\"level\":\"{}\",\"ts\":\"{time}\"", fields.heading.severity);
    if let Some(logger) = &fields.logger {
        line.push_str(",\"logger\":");
        push_json_string(&mut line, logger);
    }
    line.push_str(",\"caller\":");
    push_json_string(&mut line, caller);
    line.push_str(",\"msg\":");
    push_json_string(&mut line, &fields.heading.message);
    line.push_str(&fields.members);
    line.push_str("}\n");
    line
}

fn console_line(fields: &Fields, time: &str, caller: &str) -> String {
    let mut line = format!("{time}\t{}\t", fields.heading.severity);
    if let Some(logger) = &fields.logger {
        line.push_str(logger);
        line.push('\t');
    }
    line.push_str(caller);
    line.push('\t');
    line.push_str(&fields.heading.message);
    if let Some(members) = fields.members.strip_prefix(fields.separator()) {
        line.push_str("\t{");
        line.push_str(members);
        line.push('}');
    }
    line.push('\n');
    line
}

/// The place of an event as `crate/file.rs:12`. The crate is the directory above `src`, so that paths of the
/// machine it was built on stay out of the log.
fn caller(metadata: &Metadata<'_>) -> String {
    let path = metadata.file().unwrap_or("unknown");
    let line = metadata.line().unwrap_or(0);
    let file = path.rsplit('/').next().unwrap_or(path);
    let mut directories = path.rsplit('/').skip(1);
    let directory = directories
        .clone()
        .zip(directories.clone().skip(1))
        .find(|(directory, _)| *directory == "src")
        .map(|(_, above)| above)
        .or_else(|| directories.next());
    match directory {
        Some(directory) => format!("{directory}/{file}:{line}"),
        None => format!("{file}:{line}"),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fmt;
    use std::sync::Mutex;

    use tracing::{debug, error, info, trace, warn};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// The lines that `log` writes, with the line numbers of callers replaced.
    fn lines(format: Format, level: Severity, log: impl FnOnce()) -> String {
        let lines = Arc::new(Mutex::new(String::new()));
        let layer = LogLayer {
            level: Arc::new(AtomicSeverity::new(level)),
            format,
            zone: TimeZone::fixed(jiff::tz::offset(2)),
            clock: || "2026-01-02T15:04:05.123456Z".parse().expect("a time"),
            sampler: Sampler::new(),
            sinks: vec![Sink::Memory(Arc::clone(&lines))],
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let text = lines.lock().unwrap().clone();
        let mut parts = text.split("layer.rs:");
        let first = parts.next().unwrap().to_owned();
        parts.fold(first, |text, part| {
            text + "layer.rs:NN" + part.trim_start_matches(|c: char| c.is_ascii_digit())
        })
    }

    fn check(log: impl FnOnce(), rest: &str) {
        let head = r#"{"level":"info","ts":"2026-01-02T17:04:05.123456+0200","caller":"logging/layer.rs:NN""#;
        assert_eq!(lines(Format::Json, Severity::Info, log), format!("{head}{rest}\n"));
    }

    #[test]
    fn json_lines() {
        check(|| info!("hello {}", 1), r#","msg":"hello 1"}"#);
        check(
            || {
                info!(
                    "local-member-id" = %"8e9e",
                    n = 3_u64,
                    below = -1,
                    half = 0.5,
                    none = f64::NAN,
                    ok = true,
                    took = ?"a\"b\n",
                    path = "a\\b\tc\u{1}ä",
                    "all sorts"
                );
            },
            concat!(
                r#","msg":"all sorts","local-member-id":"8e9e","n":3,"below":-1,"half":0.5,"none":"NaN","ok":true,"#,
                r#""took":"\"a\\\"b\\n\"","path":"a\\b\tc\u0001ä"}"#
            ),
        );
        let error = std::io::Error::other("boom");
        check(
            || info!(error = &error as &(dyn std::error::Error + 'static), "failed"),
            r#","msg":"failed","error":"boom"}"#,
        );
    }

    #[test]
    fn lists_and_objects() {
        let urls = ["http://a:1", "http://b:2"];
        check(
            || info!("urls[]" = ?urls, "n[]" = ?[1, 2], "none[]" = ?[""; 0], "bad[]" = ?Some(1), "lists"),
            r#","msg":"lists","urls":["http://a:1","http://b:2"],"n":[1,2],"none":[],"bad":"Some(1)"}"#,
        );
        check(
            || info!("stages[]" = r#"{"b":"1ms","a":"2ms"}"#, "an object"),
            r#","msg":"an object","stages":{"b":"1ms","a":"2ms"}}"#,
        );
        check(
            || info!("{}" = r#"{"b": 1, "a-b": [1, 2], "c": {"d": null}}"#, z = 1, "object"),
            r#","msg":"object","b":1,"a-b":[1, 2],"c":{"d": null},"z":1}"#,
        );
        check(|| info!("{}" = "x", "object"), r#","msg":"object","fields":"x"}"#);
    }

    #[test]
    fn heads() {
        let log = || {
            error!(level = "fatal", "a");
            warn!(logger = "raft", "b");
            debug!("c");
            error!(level = "high", "d");
        };
        let expected = r#"{"level":"fatal","ts":"2026-01-02T17:04:05.123456+0200","caller":"logging/layer.rs:NN","msg":"a"}
{"level":"warn","ts":"2026-01-02T17:04:05.123456+0200","logger":"raft","caller":"logging/layer.rs:NN","msg":"b"}
{"level":"error","ts":"2026-01-02T17:04:05.123456+0200","caller":"logging/layer.rs:NN","msg":"d","level":"high"}
"#;
        assert_eq!(lines(Format::Json, Severity::Info, log), expected);
    }

    #[test]
    fn console_lines() {
        let log = || {
            info!("a");
            warn!(logger = "raft", n = 1, text = "x", "b");
        };
        let expected = "2026-01-02T17:04:05.123456+0200\tinfo\tlogging/layer.rs:NN\ta\n\
             2026-01-02T17:04:05.123456+0200\twarn\traft\tlogging/layer.rs:NN\tb\t{\"n\": 1, \"text\": \"x\"}\n";
        assert_eq!(lines(Format::Console, Severity::Info, log), expected);
    }

    #[test]
    fn levels_above_error_are_told_apart() {
        let log = || {
            trace!("a");
            error!("b");
            error!(level = "panic", "c");
            error!(level = "fatal", "d");
        };
        let text = lines(Format::Console, Severity::Panic, log);
        let messages: Vec<_> = text.lines().filter_map(|line| line.split('\t').nth(3)).collect();
        assert_eq!(messages, ["c", "d"]);
    }

    #[test]
    fn floods_are_sampled() {
        struct Counted<'a>(&'a Cell<usize>);

        impl fmt::Display for Counted<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.set(self.0.get() + 1);
                f.write_str("a field")
            }
        }

        let n_formatted = Cell::new(0);
        let log = || (0..1000).for_each(|_| info!(field = %Counted(&n_formatted), "again"));
        let n = lines(Format::Json, Severity::Info, log).lines().count();
        // The loop can run into the next second once.
        assert!(n < 250, "{n}");
        assert_eq!(n_formatted.get(), n, "what is not written is not formatted");
    }
}
