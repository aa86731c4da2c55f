//! Requests and their responses, as text: every path, and whatever is wrong with a request.
//!
//! Each file is run from its beginning to its end on a server of its own, ferretcd's and etcd's. Responses are compared
//! with those in the file, so that etcd itself is checked as well. Where ferretcd is meant to differ, a case has both
//! responses and the reason.
//!
//! With a directory in the variable `GATEWAY_TABLE` the files are written there with the responses of this run.

mod case;
mod normal;
mod run;

use std::path::Path;
use std::{env, fs};

use ferretcd_tests::{Etcd37, Ferretcd, Process, report};

use self::case::Case;

/// Makes a test of each file.
macro_rules! files {
    ($($name:ident),*) => {
        const FILES: &[&str] = &[$(include_str!(concat!(stringify!($name), ".txt"))),*];
        $(
            #[tokio::test]
            async fn $name() {
                check(concat!(stringify!($name), ".txt"), include_str!(concat!(stringify!($name), ".txt"))).await;
            }
        )*
    };
}

files!(
    kv,
    lease,
    cluster,
    maintenance,
    auth,
    tokens,
    lock_and_election,
    watch,
    json,
    numbers,
    http,
    metadata
);

/// Runs a file on both servers and compares.
async fn check(file: &str, text: &str) {
    let mut cases = case::parse(text);
    let has_etcd = report::available::<Process<Etcd37>>(&format!("the gateway's table {file}"));
    assert!(report::available::<Process<Ferretcd>>(file), "a missing ferretcd is a failure");
    let (own, etcd) = tokio::join!(run::responses::<Process<Ferretcd>>(&cases), async {
        if has_etcd { Some(run::responses::<Process<Etcd37>>(&cases).await) } else { None }
    });
    if let Some(dir) = env::var_os("GATEWAY_TABLE") {
        let etcd = etcd.as_ref().expect("etcd is there when the table is recorded");
        cases.iter_mut().zip(etcd).zip(&own).for_each(|((case, etcd), own)| case.record(etcd, own));
        let whole: Vec<_> = cases.iter().map(Case::to_string).collect();
        fs::write(Path::new(&dir).join(file), whole.join("\n")).expect("the named directory takes files");
        return;
    }
    let mut differences = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        if let Some(etcd) = &etcd {
            differences.extend(case.difference("etcd", &case.expected, &etcd[number]));
        }
        differences.extend(case.difference("ferretcd", case.expected_of_ferretcd(), &own[number]));
    }
    assert!(differences.is_empty(), "{} differ in {file}:\n{}", differences.len(), differences.join("\n"));
}

/// The paths that the API's definition names.
fn paths() -> Vec<String> {
    let (mut paths, mut dirs) = (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto")]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).expect("it is a directory") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let text = fs::read_to_string(path).expect("definitions are text");
                let found = text.split('"').filter(|quoted| quoted.starts_with("/v3/"));
                paths.extend(found.map(str::to_owned));
            }
        }
    }
    paths
}

#[test]
fn every_path_is_called() {
    let called: Vec<_> = FILES.iter().flat_map(|text| case::parse(text)).collect();
    let paths = paths();
    assert!(paths.len() >= 51, "{paths:?}");
    for path in paths {
        assert!(called.iter().any(|case| case.method == "POST" && case.path == path), "{path}");
    }
}
