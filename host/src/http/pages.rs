//! The pages for people, and what they are made of: files of `host/web/`, as they are, inside the program.
//!
//! They hold nothing of this server: what they show they ask for, with the key that is typed in. So they are given
//! to everybody. They load nothing from elsewhere, and the headers here see to it that they cannot.

use axum::{
    body::Body,
    extract::{Path, Request},
    response::Response,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use sha2::{Digest, Sha256};

use super::routes;

/// A file of `host/web/`.
struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($name:literal: $kind:literal,)+) => {
        &[$(File { name: $name, kind: $kind, text: include_str!(concat!("../../web/", $name)) },)+]
    };
}

const FILES: &[File] = files! {
    "docs.html": "text/html; charset=utf-8",
    "ui.html": "text/html; charset=utf-8",
    "base.css": "text/css; charset=utf-8",
    "docs.css": "text/css; charset=utf-8",
    "ui.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "answer.js": "text/javascript; charset=utf-8",
    "api.js": "text/javascript; charset=utf-8",
    "backends.js": "text/javascript; charset=utf-8",
    "calls.js": "text/javascript; charset=utf-8",
    "docs.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "form.js": "text/javascript; charset=utf-8",
    "frame.js": "text/javascript; charset=utf-8",
    "log.js": "text/javascript; charset=utf-8",
    "numbers.js": "text/javascript; charset=utf-8",
    "runner.js": "text/javascript; charset=utf-8",
    "schema.js": "text/javascript; charset=utf-8",
    "sessions.js": "text/javascript; charset=utf-8",
    "ui.js": "text/javascript; charset=utf-8",
    "words.js": "text/javascript; charset=utf-8",
};

/// What a page may do: run our scripts and talk to this server. Pictures come in answers, as `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// The address that the browser itself should ask about files that it has: they change with the program.
const ASK_AGAIN: &str = "no-cache";

/// Whether this path is one of the pages or what they are made of.
pub(super) fn is_page(path: &str) -> bool {
    ["/docs", "/ui"].contains(&path) || path.starts_with("/assets/")
}

/// `GET /docs`.
pub(super) async fn docs(headers: HeaderMap) -> Response {
    give("docs.html", &headers).unwrap_or_default()
}

/// `GET /ui`.
pub(super) async fn ui(headers: HeaderMap) -> Response {
    give("ui.html", &headers).unwrap_or_default()
}

/// `GET /assets/{name}`.
pub(super) async fn asset(name: Option<Path<String>>, request: Request) -> Response {
    let found = name.and_then(|Path(name)| give(&name, request.headers()));
    match found {
        Some(response) => response,
        None => routes::no_route(request).await,
    }
}

fn give(name: &str, asked: &HeaderMap) -> Option<Response> {
    let file = FILES.iter().find(|file| file.name == name)?;
    let digest = Sha256::digest(file.text);
    let tag = format!("\"{:016x}\"", u64::from_be_bytes(*digest.first_chunk()?));
    let tag = HeaderValue::try_from(tag).ok()?;
    let known = asked.get(IF_NONE_MATCH) == Some(&tag);
    let mut response = Response::new(if known {
        Body::empty()
    } else {
        Body::from(file.text)
    });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    let mut put = |name: HeaderName, value| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    put(CONTENT_TYPE, file.kind);
    put(CACHE_CONTROL, ASK_AGAIN);
    put(CONTENT_SECURITY_POLICY, POLICY);
    put(X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(X_FRAME_OPTIONS, "DENY");
    put(REFERRER_POLICY, "no-referrer");
    headers.insert(ETAG, tag);
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_served_and_every_reference_leads_to_one() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/web");
        let mut there: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut served: Vec<_> = FILES.iter().map(|file| file.name.to_owned()).collect();
        there.sort_unstable();
        served.sort_unstable();
        assert_eq!(there, served);
        for file in FILES {
            let imports = file.text.split("from \"./").skip(1);
            let links = file.text.split("\"assets/").skip(1);
            for rest in imports.chain(links) {
                let name = rest.split('"').next().unwrap();
                assert!(served.iter().any(|it| it == name), "{}: {name}", file.name);
            }
        }
    }

    #[test]
    fn a_browser_that_has_a_file_does_not_get_it_again() {
        let first = give("dom.js", &HeaderMap::new()).unwrap();
        let asked = HeaderMap::from_iter([(IF_NONE_MATCH, first.headers()[ETAG].clone())]);
        assert_eq!(give("dom.js", &asked).unwrap().status(), 304);
        assert_eq!(give("docs.js", &asked).unwrap().status(), 200);
        assert!(give("../pages.rs", &asked).is_none());
    }
}
