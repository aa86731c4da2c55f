//! The help and usage texts.

use std::fmt::Write as _;

use crate::{FLAGS, Flag, Kind, Section, Status};

/// Columns the help keeps to.
const WIDTH: usize = 100;
/// Column at which descriptions start; longer flags have theirs on the next line.
const INDENT: usize = 40;

/// How to call the program, printed after a usage error. `program` is the name it was called by.
pub fn usage(program: &str) -> String {
    format!(
        "usage: {program} [flags]                  run a member\n       \
         {program} --config-file FILE       run a member with the settings of a file\n       \
         {program} --help                   list all flags\n       \
         {program} --version                show the version\n"
    )
}

/// Everything about the flags, in 100 columns. `program` is the name it was called by.
pub fn help(program: &str) -> String {
    let mut text = format!(
        "{}
Without flags, a cluster of one member keeps its data in ./default.etcd and serves clients on this
machine only:

  $ {program} &
  $ etcdctl put greeting hello
  $ etcdctl get greeting

For other machines, say where to listen and how the member is reached:

  $ {program} --name a --data-dir /var/lib/etcd \\
      --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls http://10.0.0.1:2379 \\
      --listen-peer-urls http://10.0.0.1:2380 --initial-advertise-peer-urls http://10.0.0.1:2380

Flags are written -flag or --flag, with their value behind a blank or =; those without a word for
a value are switches, set off by --flag=false. DURATION is a number with a unit: 100ms, 5s, 1h30m.
The environment sets flags, too: ETCD_DATA_DIR is --data-dir. A flag set in both places is an error.
",
        usage(program)
    );
    for section in SECTIONS {
        let _ = writeln!(text, "\n{}:", title(section));
        for flag in FLAGS.iter().filter(|flag| flag.section == section) {
            write_flag(&mut text, flag);
        }
    }
    let names: Vec<_> =
        FLAGS.iter().filter(|flag| flag.section == Section::Ignored).map(|flag| flag.name).collect();
    text.push_str("\nAccepted for old scripts, and ignored:\n");
    for line in wrap(&names.join(", "), WIDTH - 2) {
        let _ = writeln!(text, "  {line}");
    }
    text
}

const SECTIONS: [Section; 8] = [
    Section::Member,
    Section::Clustering,
    Section::Security,
    Section::Auth,
    Section::Logging,
    Section::Monitoring,
    Section::Features,
    Section::Own,
];

fn title(section: Section) -> &'static str {
    match section {
        Section::Member => "Member",
        Section::Clustering => "Clustering",
        Section::Security => "Security",
        Section::Auth => "Auth",
        Section::Logging => "Logging and tracing",
        Section::Monitoring => "Metrics, compaction, checks and warnings",
        Section::Features => "Features and unsafe switches",
        Section::Own => "ferretcd only",
        Section::Ignored => "Ignored",
    }
}

fn write_flag(text: &mut String, flag: &Flag) {
    let mut head = format!("  --{}{}", flag.name, placeholder(flag.kind));
    let mut lines = wrap(&describe(flag), WIDTH - INDENT).into_iter();
    if head.len() >= INDENT {
        let _ = writeln!(text, "{head}");
        head.clear();
    }
    let _ = writeln!(text, "{head:INDENT$}{}", lines.next().unwrap_or_default());
    for line in lines {
        let _ = writeln!(text, "{:INDENT$}{line}", "");
    }
}

/// The help with the default behind it, and with a note if the flag does nothing.
fn describe(flag: &Flag) -> String {
    let mut text = flag.help.to_owned();
    // A switch that is off by default needs no words, nor does an empty text.
    if !flag.default.is_empty() && flag.default != "false" {
        let _ = write!(text, " (default {})", flag.default);
    }
    match flag.status {
        Status::NoEffect => text.push_str(" [no effect in this version]"),
        Status::Retiring(_) => text.push_str(" [deprecated; no effect]"),
        Status::Effective | Status::Ignored => {}
    }
    text
}

fn placeholder(kind: Kind) -> String {
    match kind {
        Kind::Text => " TEXT".to_owned(),
        Kind::OneOf(texts) => format!(" {}", texts.join("|")),
        Kind::SomeOf(_) => " PHASE".to_owned(),
        Kind::Gates => " GATE=BOOL,..".to_owned(),
        Kind::Uint(_) | Kind::Uint32 | Kind::Int => " N".to_owned(),
        Kind::Duration => " DURATION".to_owned(),
        Kind::List | Kind::Set | Kind::Hosts | Kind::Origins => " A,B,..".to_owned(),
        Kind::Urls => " URL,..".to_owned(),
        Kind::Bool | Kind::Ignored => String::new(),
    }
}

/// Breaks a text between words into lines of at most `width` characters; longer words have their own line.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_in_the_help_and_lines_are_short() {
        let text = help("ferretcd");
        for flag in &FLAGS {
            let name = if flag.section == Section::Ignored {
                flag.name.to_owned()
            } else {
                format!("\n  --{}", flag.name)
            };
            assert!(text.contains(&name), "{name}");
        }
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert_eq!(line.trim_end(), line);
        }
    }

    #[test]
    fn flags_show_their_value_and_default() {
        let text = help("ferretcd");
        assert!(
            text.contains("  --snapshot-count N                    Applied entries after which"),
            "{text}"
        );
        assert!(text.contains("(default http://localhost:2379)"));
        assert!(text.contains("  --initial-cluster-state new|existing  Found the cluster"));
    }
}
