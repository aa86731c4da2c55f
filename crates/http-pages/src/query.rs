use axum::extract::Query;
use http::Uri;

/// The parameters of a request, in their order; names may repeat.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the query of `uri`; what is malformed counts as absent.
    pub(crate) fn of(uri: &Uri) -> Parameters {
        Parameters(Query::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn contains(&self, name: &str, value: &str) -> bool {
        self.all(name).any(|found| found == value)
    }

    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
