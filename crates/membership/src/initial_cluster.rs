//! The text of `initial-cluster`: `name=url,name=url`, where a name may be repeated.

use std::collections::BTreeMap;

use crate::{Url, UrlError};

/// Reads the text. A part without a name or URL is an error of the URL, as in etcd.
pub fn parse_initial_cluster(text: &str) -> Result<BTreeMap<String, Vec<Url>>, UrlError> {
    let mut members: BTreeMap<String, Vec<Url>> = BTreeMap::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (name, url) = part.split_once('=').unwrap_or((part, ""));
        members.entry(name.to_owned()).or_default().push(Url::parse(url)?);
    }
    for urls in members.values_mut() {
        urls.sort();
    }
    Ok(members)
}

/// Writes what [`parse_initial_cluster`] reads: members by name, each URL with its name.
pub fn format_initial_cluster(members: &BTreeMap<String, Vec<Url>>) -> String {
    let parts = members.iter().flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={url}")));
    parts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_repeat() {
        let members = parse_initial_cluster("b=http://h:3,a=http://h:2,,a=http://h:1").unwrap();
        assert_eq!(format_initial_cluster(&members), "a=http://h:1,a=http://h:2,b=http://h:3");
        assert_eq!(members["a"].len(), 2);
        assert!(parse_initial_cluster("").unwrap().is_empty());
    }

    #[test]
    fn errors_are_those_of_the_urls() {
        assert_eq!(
            parse_initial_cluster("a").unwrap_err().to_string(),
            "URL scheme must be http, https, unix, or unixs: "
        );
        assert!(parse_initial_cluster("a=http://h:1/").is_err());
    }
}
