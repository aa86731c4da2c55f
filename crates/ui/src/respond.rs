//! The response to a request for the page.

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, Uri};

use crate::Reach;
use crate::assets::Asset;
use crate::reach::names_loopback;

/// The path of the page; its files are below.
const ROOT: &str = "/ui/";

/// Only files and requests of the same origin, no markup made of text, no frames.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const NOT_LOCAL: &str = "The page is served to this machine alone, over a loopback address and under the name localhost \
                         or that address. To serve it to every client, start the member with --ui=all.\n";

/// The page as it is served.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    reach: Reach,
}

impl Ui {
    /// `None` if no connection gets the page.
    pub fn new(reach: Reach) -> Option<Self> {
        (reach != Reach::None).then_some(Self { reach })
    }

    /// Whether a path is the page's or one of its files'.
    pub fn has_path(uri: &Uri) -> bool {
        uri.path() == "/ui" || uri.path().starts_with(ROOT)
    }

    /// The response to a request with a path of the page. `is_local` says whether both ends of its connection are on this
    /// machine. The body is to be left out for HEAD, which HTTP libraries do.
    pub fn respond(&self, request: &Parts, is_local: bool) -> Response<&'static [u8]> {
        if self.reach == Reach::Loopback && !(is_local && names_loopback(request)) {
            return text(StatusCode::FORBIDDEN, NOT_LOCAL);
        }
        let Some(name) = request.uri.path().strip_prefix(ROOT) else {
            let mut response = text(StatusCode::TEMPORARY_REDIRECT, "");
            response.headers_mut().insert(LOCATION, HeaderValue::from_static(ROOT));
            return response;
        };
        let Some(asset) = Asset::find(name) else {
            return text(StatusCode::NOT_FOUND, "404 page not found\n");
        };
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        serve(asset, request)
    }
}

/// A file, or that the browser has it. Browsers ask each time, so that a page never mixes files of two versions.
fn serve(asset: &'static Asset, request: &Parts) -> Response<&'static [u8]> {
    let tag = asset.tag();
    let is_known = request.headers.get_all(IF_NONE_MATCH).iter().any(|known| names(known, &tag));
    let (status, body) =
        if is_known { (StatusCode::NOT_MODIFIED, &[][..]) } else { (StatusCode::OK, asset.body) };
    let mut response = protected(status, asset.content_type, body);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response.headers_mut().insert(ETAG, tag);
    response
}

/// Whether a list of tags has this one, strong or weak, or stands for all.
fn names(list: &HeaderValue, tag: &HeaderValue) -> bool {
    let listed = list.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    listed.map(|known| known.strip_prefix(b"W/").unwrap_or(known)).any(|known| known == tag || known == b"*")
}

fn text(status: StatusCode, text: &'static str) -> Response<&'static [u8]> {
    protected(status, "text/plain; charset=utf-8", text.as_bytes())
}

fn protected(status: StatusCode, content_type: &'static str, body: &'static [u8]) -> Response<&'static [u8]> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (RESOURCE_POLICY, "same-origin"),
    ];
    response.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}
