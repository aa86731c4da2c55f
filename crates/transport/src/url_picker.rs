//! Which of a member's URLs is used.

use http::Uri;
use parking_lot::Mutex;

/// The URLs of one member. All use the same one until it fails.
#[derive(Debug, Default)]
pub(crate) struct Urls(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    texts: Vec<String>,
    urls: Vec<Uri>,
    picked: usize,
}

impl Urls {
    /// Takes those of the texts that are URLs.
    pub(crate) fn new(texts: &[String]) -> Self {
        let urls = Self::default();
        urls.set(texts);
        urls
    }

    /// Begins anew with other URLs; false if they are the same.
    pub(crate) fn set(&self, texts: &[String]) -> bool {
        let mut state = self.0.lock();
        if state.texts == texts {
            return false;
        }
        let urls = texts.iter().filter_map(|text| text.parse().ok()).filter(|url: &Uri| url.host().is_some());
        *state = State { texts: texts.to_vec(), urls: urls.collect(), picked: 0 };
        true
    }

    /// The URL to use, unless there is none.
    pub(crate) fn pick(&self) -> Option<Uri> {
        let state = self.0.lock();
        state.urls.get(state.picked).cloned()
    }

    /// All URLs, the one to use first.
    pub(crate) fn all(&self) -> Vec<Uri> {
        let state = self.0.lock();
        let (before, from) = state.urls.split_at(state.picked);
        from.iter().chain(before).cloned().collect()
    }

    /// The URL has failed: the next is to be used.
    pub(crate) fn failed(&self, url: &Uri) {
        let mut state = self.0.lock();
        if state.urls.get(state.picked) == Some(url) {
            state.picked = (state.picked + 1) % state.urls.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_used_until_it_fails() {
        let texts = ["http://a:1".to_owned(), "no url".to_owned(), "http://b:2".to_owned()];
        let urls = Urls::new(&texts);
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
