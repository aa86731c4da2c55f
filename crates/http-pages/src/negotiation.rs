//! What a scraper accepts, as etcd's library for metrics (promhttp) reads it.

use http::HeaderValue;

/// How names may be written that are more than letters, digits, `_` and `:`. None of a member is, so that all of these
/// give the same; `dots`, which would double each `_`, is not among them.
const ESCAPINGS: [&str; 3] = [UNDERSCORES, "allow-utf-8", "values"];
const UNDERSCORES: &str = "underscores";
/// The version of the text format.
const VERSION: &str = "0.0.4";

/// Whether to compress: `gzip`, or `*`, has more weight than no compression. At equal weight the latter is preferred, as it
/// is offered first.
pub(crate) fn prefers_gzip<'a>(accepted: impl IntoIterator<Item = &'a HeaderValue>) -> bool {
    let (mut identity, mut gzip) = (-1.0, -1.0);
    for (name, quality) in accepted.into_iter().filter_map(|value| value.to_str().ok()).flat_map(encodings) {
        if matches!(name, "identity" | "*") {
            identity = f64::max(identity, quality);
        }
        if matches!(name, "gzip" | "*") {
            gzip = f64::max(gzip, quality);
        }
    }
    gzip > f64::max(identity, 0.0)
}

/// The encodings of one header with their weights, up to the first that is malformed.
fn encodings(header: &str) -> impl Iterator<Item = (&str, f64)> {
    header.split(',').map_while(|one| {
        let (name, weight) = one.split_once(';').map_or((one, None), |(name, weight)| (name, Some(weight)));
        let quality = match weight {
            Some(weight) => weight
                .trim()
                .strip_prefix("q=")
                .filter(|quality| quality.starts_with(['0', '1']))?
                .parse()
                .ok()?,
            None => 1.0,
        };
        Some((name.trim(), quality))
    })
}

/// The way of escaping that `Accept` names: the last one up to the text format, in the order of the weights.
pub(crate) fn escaping(accept: Option<&HeaderValue>) -> &'static str {
    let accept = accept.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut clauses: Vec<Clause<'_>> = accept.split(',').map(Clause::of).collect();
    clauses.sort_by(|one, other| other.quality.total_cmp(&one.quality));
    let mut escaping = UNDERSCORES;
    for clause in clauses {
        let named = ESCAPINGS.into_iter().find(|known| clause.parameter("escaping") == Some(known));
        escaping = named.unwrap_or(escaping);
        if clause.media_type == "text/plain"
            && clause.parameter("version").is_none_or(|version| version == VERSION)
        {
            break;
        }
    }
    escaping
}

/// A media type that is accepted.
struct Clause<'a> {
    media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f64,
}

impl<'a> Clause<'a> {
    fn of(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
        let mut clause = Self { media_type, parameters, quality: 1.0 };
        if let Some(quality) = clause.parameter("q") {
            clause.quality = quality.parse().unwrap_or(0.0);
        }
        clause
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_where_it_has_more_weight() {
        let check = |accepted: &[&'static str], expected: bool| {
            let values: Vec<_> = accepted.iter().map(|value| HeaderValue::from_static(value)).collect();
            assert_eq!(prefers_gzip(&values), expected, "{accepted:?}");
        };
        for gzip in [
            "gzip",
            "zstd, gzip",
            "gzip, zstd",
            "br, gzip;q=0.5",
            "gzip, gzip;q=0",
            "gzip;q=0.001,zstd;q=0.002",
            "gzip;q=0.8, identity;q=0.5",
            "gzip; q=1.0",
            "deflate, gzip, nonsense;level=1",
        ] {
            check(&[gzip], true);
        }
        for plain in [
            "",
            "identity",
            "zstd",
            "gzip;q=0",
            "*",
            "*;q=0",
            "deflate",
            "GZIP",
            "x-gzip",
            "identity;q=0",
            "gzip;q=0.5, identity;q=0.8",
            "gzip, *",
            "nonsense;level=1, gzip",
            "gzip;q=inf",
            "gzip;q=-1",
        ] {
            check(&[plain], false);
        }
        check(&[], false);
        check(&["deflate", "gzip"], true);
    }

    #[test]
    fn escaping_is_that_of_the_text_format() {
        let check = |accept: &'static str, expected: &str| {
            assert_eq!(escaping(Some(&HeaderValue::from_static(accept))), expected, "{accept}");
        };
        assert_eq!(escaping(None), "underscores");
        for accept in [
            "",
            "*/*",
            "text/plain",
            "text/plain;version=0.0.4",
            "application/openmetrics-text",
            "application/json",
            "text/plain;escaping=nonsense",
            "text/plain;escaping=underscores",
        ] {
            check(accept, "underscores");
        }
        check("text/plain;version=1.0.0;escaping=allow-utf-8", "allow-utf-8");
        check("text/plain; version=0.0.4; escaping=allow-utf-8", "allow-utf-8");
        check("*/*;escaping=values", "values");
        check("text/plain;version=0.0.4;q=0.2,text/plain;version=0.0.4;escaping=values", "values");
        check("text/plain;version=0.0.4,*/*;escaping=values;q=0.1", "underscores");
        // What Prometheus sends.
        check(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
             text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            "allow-utf-8",
        );
    }
}
