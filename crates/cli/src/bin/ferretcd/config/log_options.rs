//! The flags of logging.

use ferretcd_flags::Settings;
use ferretcd_logging::{Format, LogOptions, Output, Rotation};
use serde::Deserialize;

use crate::error::ConfigError;

/// The options of the log.
pub(crate) fn log_options(settings: &Settings) -> Result<LogOptions, ConfigError> {
    match settings.text("logger") {
        logger if logger == "zap" => {}
        logger if logger == "capnslog" => return Err(ConfigError::LoggerRemoved),
        logger => return Err(ConfigError::Logger(logger)),
    }
    let outputs = settings.list("log-outputs");
    if outputs.len() > 1 && outputs.iter().any(|output| output == "default") {
        return Err(ConfigError::LogOutputs);
    }
    let rotation = match settings.bool("enable-log-rotation") {
        true if has_file_to_rotate(&outputs, audit_output(settings)) => {
            Some(rotation(&settings.text("log-rotation-config-json"))?)
        }
        true => return Err(ConfigError::LogRotationOutput),
        false => None,
    };
    let level = settings.text("log-level");
    let format = settings.text("log-format");
    Ok(LogOptions {
        level: level.parse().map_err(|()| ConfigError::LogLevel(level))?,
        format: match &*format {
            "json" | "" => Format::Json,
            "console" => Format::Console,
            _ => return Err(ConfigError::LogFormat(format)),
        },
        outputs: if outputs.is_empty() {
            vec![Output::Stderr]
        } else {
            outputs.into_iter().map(Output::from).collect()
        },
        rotation,
    })
}

/// The value of `--log-rotation-config-json`. Zero and less are no limit. Go reads keys in any case.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RotationJson {
    /// The outputs say which file it is; it has to be text all the same.
    #[serde(rename = "filename")]
    _filename: Option<String>,
    /// In megabytes.
    #[serde(alias = "maxSize", alias = "MaxSize")]
    maxsize: Option<i64>,
    /// In days.
    #[serde(alias = "maxAge", alias = "MaxAge")]
    maxage: Option<i64>,
    #[serde(alias = "maxBackups", alias = "MaxBackups")]
    maxbackups: Option<i64>,
    #[serde(alias = "localTime", alias = "LocalTime")]
    localtime: Option<bool>,
    #[serde(alias = "Compress")]
    compress: Option<bool>,
}

/// The size of a file when none is given, in megabytes.
const MEGABYTES_DEFAULT: u64 = 100;

/// As etcd requires it, but that the file of an audit log is enough.
fn has_file_to_rotate(outputs: &[String], audit: Option<Output>) -> bool {
    let files =
        outputs.iter().filter(|output| !matches!(&***output, "default" | "stderr" | "stdout")).count();
    files == 1 || (files == 0 && (outputs.len() > 1 || matches!(audit, Some(Output::File(_)))))
}

/// Where the lines of the audit log go; `None` if there is none.
pub(crate) fn audit_output(settings: &Settings) -> Option<Output> {
    Some(settings.text("audit-log")).filter(|text| !text.is_empty()).map(Output::from)
}

fn rotation(config: &str) -> Result<Rotation, ConfigError> {
    let json =
        serde_json::from_str::<Option<RotationJson>>(config).map_err(|error| match error.is_data() {
            true => ConfigError::LogRotationType(error),
            false => ConfigError::LogRotationSyntax(error),
        })?;
    let json = json.unwrap_or_default();
    let limit =
        |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
    Ok(Rotation {
        bytes_max: limit(json.maxsize).unwrap_or(MEGABYTES_DEFAULT).saturating_mul(1 << 20),
        days_max: limit(json.maxage).map(|days| u32::try_from(days).unwrap_or(u32::MAX)),
        files_max: limit(json.maxbackups).map(|files| usize::try_from(files).unwrap_or(usize::MAX)),
        local_time: json.localtime.unwrap_or(false),
        compress: json.compress.unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use ferretcd_flags::{Command, parse_command_line};
    use ferretcd_logging::Severity;

    use super::*;

    fn options(flags: &[&str]) -> Result<LogOptions, String> {
        let Ok(Command::Run(settings, None)) = parse_command_line(flags.iter().map(OsString::from)) else {
            panic!("{flags:?}");
        };
        log_options(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn outputs_and_levels() {
        assert_eq!(options(&[]).unwrap(), LogOptions::default());
        let flags =
            ["--log-outputs=stdout,systemd/journal,/a/b", "--log-level=dpanic", "--log-format=console"];
        let expected = LogOptions {
            level: Severity::DPanic,
            format: Format::Console,
            // In the order of their bytes, as in etcd.
            outputs: vec![Output::File("/a/b".into()), Output::Stdout, Output::Journal],
            rotation: None,
        };
        assert_eq!(options(&flags).unwrap(), expected);
        let files = options(&["--log-outputs=file:///a/b,file://localhost/c,d"]).unwrap().outputs;
        assert_eq!(files, ["d", "/a/b", "/c"].map(|path| Output::File(path.into())));
    }

    #[test]
    fn levels_are_those_of_zap() {
        let check = |text: &str, expected: Severity| {
            assert_eq!(options(&[&format!("--log-level={text}")]).unwrap().level, expected, "{text}");
        };
        check("", Severity::Info);
        check("DEBUG", Severity::Debug);
        check("dEbug", Severity::Debug);
        check("Info", Severity::Info);
        check("warning", Severity::Warn);
        check("WARNING", Severity::Warn);
        check("Warn", Severity::Warn);
        check("ERROR", Severity::Error);
        check("DPanic", Severity::DPanic);
        check("panic", Severity::Panic);
        check("FATAL", Severity::Fatal);
        for text in ["warnings", " info", "err", "5"] {
            assert!(options(&[&format!("--log-level={text}")]).is_err(), "{text}");
        }
    }

    #[test]
    fn errors() {
        fn check(flags: &[&str], expected: &str) {
            assert_eq!(options(flags).unwrap_err(), expected);
        }
        check(&["--logger=capnslog"], "--logger=capnslog is removed in v3.5");
        check(&["--logger=ZAP"], "unknown logger option \"ZAP\"");
        check(&["--log-outputs=default,stderr"], "multi logoutput for \"default\" is not supported yet");
        check(&["--log-format=xml"], "unknown log format: xml, supported values json, console");
        check(
            &["--log-level=trace"],
            "unrecognized level: \"trace\", supported values debug, info, warn, error, panic, fatal",
        );
        let rotation = "--log-outputs requires a single file path when --log-rotate-config-json is defined";
        check(&["--enable-log-rotation"], rotation);
        check(&["--enable-log-rotation", "--log-outputs=/a,/b"], rotation);
        check(
            &["--enable-log-rotation", "--log-outputs=/a", "--log-rotation-config-json={"],
            "improperly formatted log rotation config: EOF while parsing an object at line 1 column 1",
        );
        check(
            &["--enable-log-rotation", "--log-outputs=/a", r#"--log-rotation-config-json={"maxsize": "x"}"#],
            "invalid log rotation config: invalid type: string \"x\", expected i64 at line 1 column 15",
        );
        assert!(options(&["--enable-log-rotation", "--log-outputs=stderr,/a"]).is_ok());
        assert!(options(&["--log-rotation-config-json={"]).is_ok());
        let json =
            r#"--log-rotation-config-json={"maxsize": 2, "maxage": 3, "maxbackups": -1, "compress": true}"#;
        let expected = Rotation {
            bytes_max: 2 << 20,
            days_max: Some(3),
            files_max: None,
            local_time: false,
            compress: true,
        };
        let found = options(&["--enable-log-rotation", "--log-outputs=/a", json]).unwrap().rotation;
        assert_eq!(found, Some(expected));
    }
}
