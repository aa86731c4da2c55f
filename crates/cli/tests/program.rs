//! The built program: what it prints, what it logs and how it exits. The program
//! rejects every configuration here, so that no server is left running.

use std::io::Write as _;
use std::process::{Command, Output};

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferretcd"));
    command.env_clear().env("TZ", "UTC").current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

fn run(args: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    finish(command().args(args).envs(variables.iter().copied()).output().unwrap())
}

fn finish(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The log line with this message; panics if there is none.
fn line<'a>(log: &'a str, message: &str) -> &'a str {
    let wanted = format!(r#""msg":"{message}""#);
    log.lines().find(|line| line.contains(&wanted)).unwrap_or_else(|| panic!("{message} is not in {log}"))
}

#[test]
fn version_and_help_go_to_stdout() {
    let (status, out, err) = run(&["--version"], &[]);
    assert_eq!((status, &*err), (0, ""));
    assert!(out.starts_with("etcd Version: 3.7.1\nGit SHA: "), "{out}");
    for flag in ["-h", "--help"] {
        let (status, out, err) = run(&[flag], &[]);
        assert_eq!((status, &*err), (0, ""));
        assert!(out.contains("\nMember:\n  --name TEXT "), "{out}");
        assert!(out.contains("  $ ferretcd &\n"), "{out}");
    }
}

#[test]
fn help_shows_the_name_that_the_program_was_called_by() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("etcd");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ferretcd"), &link).unwrap();
    let (status, out, _) = finish(Command::new(&link).env_clear().arg("--help").output().unwrap());
    assert_eq!(status, 0);
    assert!(out.starts_with("usage: etcd [flags] "), "{out}");
    let (status, out, _) = finish(Command::new(&link).env_clear().arg("--version").output().unwrap());
    assert_eq!(status, 0);
    assert!(out.starts_with("etcd Version: 3.7.1\n"), "{out}");
}

#[test]
fn a_command_line_that_cannot_be_read_is_status_2() {
    fn check(args: &[&str], first_lines: &str) {
        let (status, out, err) = run(args, &[]);
        assert_eq!((status, &*out), (2, ""), "{args:?}");
        assert!(err.starts_with(&format!("{first_lines}\nusage: ferretcd [flags]")), "{err}");
    }
    check(
        &["--listen-client-url=x"],
        "flag provided but not defined: -listen-client-url\ndid you mean -listen-client-urls?",
    );
    check(&["--max-txn-ops=many"], r#"invalid value "many" for flag -max-txn-ops: parse error"#);
    check(&["--name"], "flag needs an argument: -name");
    check(
        &["--feature-gates=Nope=true"],
        r#"invalid value "Nope=true" for flag -feature-gates: unrecognized feature gate: Nope"#,
    );
}

#[test]
fn a_rejected_configuration_is_status_1() {
    fn check(args: &[&str], variables: &[(&str, &str)], error: &str) {
        let (status, out, err) = run(args, variables);
        assert_eq!((status, &*out), (1, ""), "{args:?}");
        let line = line(&err, "failed to verify flags");
        assert!(line.starts_with(r#"{"level":"warn","ts":""#), "{line}");
        assert!(line.ends_with(&format!(r#","error":"{error}"}}"#)), "{line}");
    }
    check(&["gateway"], &[], r#"\"gateway\" is not a valid flag"#);
    check(&["--heartbeat-interval=0"], &[], "--heartbeat-interval must be >0 (set to 0ms)");
    check(&[], &[("ETCD_ELECTION_TIMEOUT", "0")], "--election-timeout must be >0 (set to 0ms)");
    check(&[], &[("ETCD_MAX_WALS", "x")], r#"invalid value \"x\" for ETCD_MAX_WALS: parse error"#);
    check(
        &[],
        &[("ETCD_FEATURE_GATES", "Nope=true")],
        r#"invalid value \"Nope=true\" for ETCD_FEATURE_GATES: unrecognized feature gate: Nope"#,
    );
    check(&["--logger=capnslog"], &[], "--logger=capnslog is removed in v3.5");
    check(&["--logger=syslog"], &[], r#"unknown logger option \"syslog\""#);
    check(
        &["--listen-client-urls=http://127.0.0.1:0"],
        &[],
        "--advertise-client-urls is required when --listen-client-urls is set explicitly",
    );
    check(
        &["--config-file=nowhere.yaml"],
        &[],
        r#"read config file \"nowhere.yaml\": No such file or directory (os error 2); make the file readable or correct --config-file"#,
    );
}

#[test]
fn a_cluster_that_the_member_cannot_found_is_status_1() {
    fn check(args: &[&str], error: &str) {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = format!("--data-dir={}", directory.path().display());
        let (status, out, err) = run(&[args, &[&*data_dir]].concat(), &[]);
        assert_eq!((status, &*out), (1, ""), "{args:?}");
        assert!(line(&err, "starting an etcd server").contains(r#""member-initialized":false"#), "{err}");
        let line = line(&err, "failed to start etcd server");
        assert!(line.starts_with(r#"{"level":"fatal","ts":""#), "{line}");
        assert!(line.ends_with(&format!(r#","error":"{error}"}}"#)), "{line}");
        assert_eq!(directory.path().read_dir().unwrap().count(), 0, "nothing is made");
    }
    check(
        &["--name=a", "--initial-cluster=b=http://10.0.0.1:1"],
        r#"couldn't find local name \"a\" in the initial cluster configuration"#,
    );
    check(
        &["--initial-advertise-peer-urls=http://10.0.0.1:1", "--initial-cluster=default=http://10.0.0.2:1"],
        "--initial-cluster has default=http://10.0.0.2:1 but missing from \
         --initial-advertise-peer-urls=http://10.0.0.1:1 \
         (resolved urls: \\\"http://10.0.0.1:1\\\" != \\\"http://10.0.0.2:1\\\")",
    );
    check(
        &[
            "--initial-advertise-peer-urls=http://10.0.0.1:1,http://10.0.0.1:2",
            "--initial-cluster=default=http://10.0.0.1:1",
        ],
        "--initial-advertise-peer-urls has http://10.0.0.1:2 but missing from \
         --initial-cluster=default=http://10.0.0.1:1",
    );
}

#[test]
fn the_initial_cluster_does_not_count_where_there_is_a_log() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("wal");
    std::fs::create_dir(&log).unwrap();
    // Not a log that can be read, so that the program ends.
    std::fs::write(log.join("0000000000000000-0000000000000000.wal"), "?").unwrap();
    let (data_dir, wal_dir) = (directory.path().join("data"), log);
    for founders in [
        &["--initial-cluster=b=http://10.0.0.1:1"][..],
        &["--initial-cluster=junk"],
        &["--discovery-endpoints=h:1", "--discovery-token=t", "--discovery-cert=c"],
    ] {
        let flags = [
            "--listen-peer-urls=http://127.0.0.1:0",
            "--listen-client-urls=http://127.0.0.1:0",
            "--advertise-client-urls=http://127.0.0.1:1",
            &format!("--data-dir={}", data_dir.display()),
            &format!("--wal-dir={}", wal_dir.display()),
        ];
        let (status, _, err) = run(&[founders, &flags].concat(), &[]);
        assert_eq!(status, 1);
        assert!(line(&err, "starting an etcd server").contains(r#""member-initialized":true"#), "{err}");
        assert!(line(&err, "failed to start etcd server").contains(r#""error":"open the log in "#), "{err}");
    }
}

#[test]
fn a_flag_and_its_variable_conflict() {
    let (status, _, err) = run(&["--name=a"], &[("ETCD_NAME", "a")]);
    assert_eq!(status, 1);
    let message = "conflicting environment variable is shadowed by corresponding command-line flag \
                   (either unset environment variable or disable flag))";
    let line = line(&err, message);
    assert!(line.starts_with(r#"{"level":"fatal","#), "{line}");
    assert!(line.ends_with(r#","environment-variable":"ETCD_NAME=a"}"#), "{line}");
}

#[test]
fn the_environment_is_logged() {
    let variables = [
        ("ETCD_HEARTBEAT_INTERVAL", "0"),
        ("ETCD_PORT", "tcp://10.0.0.1:2379"),
        ("ETCD_VERSION", "v3.5.0"),
        ("ETCD_DISCOVERY_PASSWORD", "secret"),
    ];
    let (status, _, err) = run(&["--backend-bbolt-freelist-type=array", "--force"], &variables);
    assert_eq!(status, 1);
    let fields = |message| line(&err, message).split_once(r#"","msg":"#).unwrap().1;
    assert_eq!(
        fields("unrecognized environment variable"),
        r#""unrecognized environment variable","environment-variable":"ETCD_PORT=tcp://10.0.0.1:2379"}"#
    );
    assert_eq!(
        fields("cannot set special environment variable"),
        r#""cannot set special environment variable","key":"ETCD_VERSION","value":"v3.5.0"}"#
    );
    assert_eq!(
        fields("--backend-bbolt-freelist-type has no effect in this version of ferretcd"),
        r#""--backend-bbolt-freelist-type has no effect in this version of ferretcd","flag":"backend-bbolt-freelist-type"}"#
    );
    assert_eq!(
        fields("flag is no longer supported and is ignored"),
        r#""flag is no longer supported and is ignored","flag":"force"}"#
    );
    assert!(err.contains(r#""variable-name":"ETCD_HEARTBEAT_INTERVAL","variable-value":"0"}"#), "{err}");
    assert!(!err.contains("secret"), "{err}");
    assert!(
        line(&err, "Running: ").ends_with(r#"ferretcd","--backend-bbolt-freelist-type=array","--force"]}"#),
        "{err}"
    );
}

#[test]
fn a_configuration_file_is_alone() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "name: s1\nheartbeat-interval: 300\nlog-format: console\nunknown-key: 1").unwrap();
    let path = file.path().to_str().unwrap();
    // Neither the wrong flag value nor the conflicting variable counts.
    let (status, _, err) = run(
        &["--log-format=json", "--heartbeat-interval=1", "--name=a"],
        &[("ETCD_NAME", "b"), ("ETCD_CONFIG_FILE", path)],
    );
    assert_eq!(status, 1);
    assert!(
        err.contains(
            "\tfailed to verify flags\t{\"error\": \"--election-timeout[1000ms] should be at least as 5 times as \
             --heartbeat-interval[300ms]\"}\n"
        ),
        "{err}"
    );
    assert!(err.contains("\tloaded server configuration, other configuration command line flags"), "{err}");
    assert!(err.contains("\"keys\": [\"unknown-key\"]"), "{err}");
}

#[test]
fn the_time_zone_is_that_of_the_environment() {
    let zone = |tz| {
        let (_, _, err) = finish(command().env("TZ", tz).arg("--heartbeat-interval=0").output().unwrap());
        let time = err.split(r#""ts":""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
        time["2026-01-02T15:04:05.000000".len()..].to_owned()
    };
    assert_eq!(zone("UTC"), "Z");
    assert_eq!(zone("XYZ-9"), "+0900");
    assert_eq!(zone("XYZ3:30"), "-0330");
}

#[test]
fn log_files_are_appended_to_and_private() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("etcd.log");
    let outputs = format!("--log-outputs=stdout,{}", path.display());
    let args = ["--log-level=warn", "--heartbeat-interval=0", &outputs];
    let (status, out, err) = run(&args, &[]);
    assert_eq!((status, &*err), (1, ""));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), out);
    assert!(!out.contains(r#""level":"info""#), "{out}");
    run(&args, &[]);
    let log = std::fs::read_to_string(&path).unwrap();
    assert_eq!(log.matches("failed to verify flags").count(), 2);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let (status, _, err) = run(&["--log-outputs=/nowhere/etcd.log"], &[]);
    assert_eq!(status, 1);
    let line = line(&err, "failed to verify flags");
    assert!(line.ends_with(
        r#""open sink \"/nowhere/etcd.log\": open /nowhere/etcd.log: no such file or directory"}"#
    ));
}
