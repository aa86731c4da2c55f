//! Picks one of a peer's URLs.

use http::Uri;
use parking_lot::Mutex;

use crate::peer_uri::peer_uri;

/// The URLs of a peer. All connections use the same one until it fails.
#[derive(Debug, Default)]
pub(crate) struct UrlPicker(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    texts: Vec<String>,
    urls: Vec<Uri>,
    picked: usize,
}

impl UrlPicker {
    /// Keeps those texts that are URLs.
    pub(crate) fn new(texts: &[String]) -> Self {
        let urls = Self::default();
        urls.set(texts);
        urls
    }

    /// Replaces the URLs; false if they are the same.
    pub(crate) fn set(&self, texts: &[String]) -> bool {
        let mut inner = self.0.lock();
        if inner.texts == texts {
            return false;
        }
        let urls = texts.iter().filter_map(|text| peer_uri(text));
        *inner = Inner { texts: texts.to_vec(), urls: urls.collect(), picked: 0 };
        true
    }

    /// The URL to use, if there is one.
    pub(crate) fn pick(&self) -> Option<Uri> {
        let inner = self.0.lock();
        inner.urls.get(inner.picked).cloned()
    }

    /// All URLs, beginning with the one to use.
    pub(crate) fn all(&self) -> Vec<Uri> {
        let inner = self.0.lock();
        let (before, from) = inner.urls.split_at(inner.picked);
        from.iter().chain(before).cloned().collect()
    }

    /// Moves on to the next URL if the current one is the one that failed.
    pub(crate) fn failed(&self, url: &Uri) {
        let mut inner = self.0.lock();
        if inner.urls.get(inner.picked) == Some(url) {
            inner.picked = (inner.picked + 1) % inner.urls.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_url_is_picked_after_a_failure() {
        let texts = ["http://a:1".to_owned(), "no url".to_owned(), "http://b:2".to_owned()];
        let urls = UrlPicker::new(&texts);
        let a = urls.pick().expect("there are two");
        urls.failed(&a);
        let b = urls.pick().expect("there are two");
        assert_eq!((a.host(), b.host()), (Some("a"), Some("b")));
        urls.failed(&a);
        assert_eq!(urls.pick(), Some(b.clone()));
        assert_eq!(urls.all(), [b.clone(), a.clone()]);
        urls.failed(&b);
        assert_eq!(urls.pick(), Some(a));
        assert!(!urls.set(&texts) && urls.set(&[]));
        assert_eq!(urls.pick(), None);
    }
}
