//! The files of the page.

use http::HeaderValue;

/// A file that is part of the binary.
#[derive(Debug)]
pub(crate) struct Asset {
    /// Its path below that of the page.
    pub(crate) name: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: &'static [u8],
    hash: u64,
}

macro_rules! asset {
    ($name:literal, $file:literal, $content_type:ident) => {{
        const BODY: &[u8] = include_bytes!(concat!("../assets/", $file));
        Asset { name: $name, content_type: $content_type, body: BODY, hash: hash(BODY) }
    }};
    ($file:literal, $content_type:ident) => {
        asset!($file, $file, $content_type)
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

static ASSETS: [Asset; 13] = [
    asset!("", "index.html", HTML),
    asset!("style.css", CSS),
    asset!("icon.svg", SVG),
    asset!("main.js", SCRIPT),
    asset!("api.js", SCRIPT),
    asset!("bytes.js", SCRIPT),
    asset!("values.js", SCRIPT),
    asset!("dom.js", SCRIPT),
    asset!("metrics.js", SCRIPT),
    asset!("cluster.js", SCRIPT),
    asset!("keys.js", SCRIPT),
    asset!("watch.js", SCRIPT),
    asset!("leases.js", SCRIPT),
];

impl Asset {
    /// The file of this path below that of the page.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.name == name)
    }

    /// Names the content.
    pub(crate) fn tag(&self) -> HeaderValue {
        HeaderValue::from_str(&format!("\"{:016x}\"", self.hash)).expect("digits in quotes")
    }
}

/// FNV-1a. It tells versions of a file apart, and proves nothing.
const fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    #[test]
    fn every_file_is_served() {
        let files =
            fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/assets")).expect("they are beside the code");
        let files: BTreeSet<String> = files
            .map(|file| file.expect("a file").file_name().into_string().expect("a plain name"))
            .collect();
        let served = ASSETS.iter().map(|asset| if asset.name.is_empty() { "index.html" } else { asset.name });
        assert_eq!(served.map(str::to_owned).collect::<BTreeSet<_>>(), files);
    }

    #[test]
    fn the_page_is_small() {
        let bytes: usize = ASSETS.iter().map(|asset| asset.body.len()).sum();
        assert!(bytes < 65_536, "{bytes}");
    }

    #[test]
    fn files_name_only_files_of_the_page() {
        for asset in &ASSETS {
            let text = std::str::from_utf8(asset.body).expect("all are text");
            for part in text.split("://").skip(1) {
                assert!(part.starts_with("www.w3.org/"), "{}: ://{part:.40}", asset.name);
            }
            for import in text.split("from \"./").skip(1) {
                let name = import.split('"').next().expect("the rest of the line");
                assert!(Asset::find(name).is_some(), "{}: {name}", asset.name);
            }
        }
    }

    #[test]
    fn hashes_are_those_of_the_algorithm() {
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
