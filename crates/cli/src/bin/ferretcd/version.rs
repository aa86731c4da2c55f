//! What the program says it is.

/// The text of `--version`. Tools read the first line, so it names etcd and the version of the API; the other lines keep
/// etcd's labels.
pub(crate) fn version() -> String {
    format!(
        "etcd Version: {}\nGit SHA: {}\nGo Version: none (ferretcd {})\nGo OS/Arch: {}/{}\n",
        ferretcd_api_proto::API_VERSION,
        GIT_SHA,
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        architecture()
    )
}

/// The commit that the program was built from, if the build knew it.
pub(crate) const GIT_SHA: &str = match option_env!("FERRETCD_GIT_SHA") {
    Some(sha) => sha,
    None => "unknown",
};

/// The processor by its name in Go.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn four_lines_as_tools_expect_them() {
        let text = super::version();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "etcd Version: 3.7.1");
        assert!(lines[1].starts_with("Git SHA: "));
        assert!(lines[2].starts_with("Go Version: "));
        assert!(lines[3].starts_with("Go OS/Arch: linux/"));
        assert_eq!(lines.len(), 4);
    }
}
