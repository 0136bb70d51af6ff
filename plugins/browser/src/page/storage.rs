//! Cookies and local storage of a session, out of it and into it, in the form that Playwright has.
//!
//! Local storage is reached only from a page of its origin. A hidden page asks for that origin, and is given an empty
//! document before the request leaves the browser.

use std::collections::BTreeSet;

use chromiumoxide_cdp::cdp::browser_protocol::{
    fetch::{self, FulfillRequestParams, RequestPattern},
    network::{CookieParam, CookieSameSite, TimeSinceEpoch},
    page::NavigateParams,
    storage::{GetCookiesParams, SetCookiesParams},
};
use sandbox_plugin_api::prelude::*;
use tokio::time::Instant;
use url::Url;

use super::{
    content::evaluate_as,
    session::{Session, at_once},
    tab::Tab,
};
use crate::{
    config::{Cookie, Entry, Origin, StorageState},
    failure::{Fault, Outcome},
};

/// So many origins are saved or restored.
pub(super) const MAX_ORIGINS: usize = 100;

#[derive(Deserialize)]
struct Cookies {
    cookies: Vec<Cookie>,
}

/// What the session has stored.
pub(crate) async fn save(session: &Session, deadline: Instant) -> Outcome<StorageState> {
    let params = GetCookiesParams {
        browser_context_id: Some(session.context()),
    };
    let mut cookies: Cookies = at_once(session.browser.pipe.call_as("", &params)).await?;
    for cookie in &mut cookies.cookies {
        cookie.same_site.get_or_insert_with(|| "Lax".to_owned());
    }
    let mut origins = Vec::new();
    let seen: BTreeSet<String> = session.origins();
    if !seen.is_empty() {
        let tab = session.hidden_tab().await?;
        let read = async {
            for origin in seen {
                visit(&tab, &origin, deadline).await?;
                let script =
                    "Object.entries(localStorage).map(([name, value]) => ({ name, value }))";
                let local_storage: Vec<Entry> = evaluate_as(&tab, script, deadline).await?;
                if !local_storage.is_empty() {
                    origins.push(Origin {
                        origin,
                        local_storage,
                    });
                }
            }
            Ok(())
        };
        let read: Outcome<()> = read.await;
        session.close_tab(&tab).await?;
        read?;
    }
    Ok(StorageState {
        cookies: cookies.cookies,
        origins,
    })
}

/// Stores this in a session.
pub(super) async fn restore(
    session: &Session,
    state: &StorageState,
    deadline: Instant,
) -> Outcome<()> {
    let cookies = state
        .cookies
        .iter()
        .map(cookie)
        .collect::<Outcome<Vec<_>>>()?;
    if !cookies.is_empty() {
        let params = SetCookiesParams {
            browser_context_id: Some(session.context()),
            cookies,
        };
        at_once(session.browser.pipe.call("", &params))
            .await
            .map_err(|fault| match fault {
                Fault::Failed(message) => Fault::param("/storage_state/cookies", message),
                other => other,
            })?;
    }
    if state.origins.is_empty() {
        return Ok(());
    }
    if state.origins.len() > MAX_ORIGINS {
        let message = format!(
            "expected at most {MAX_ORIGINS}, found {}",
            state.origins.len()
        );
        return Err(Fault::param("/storage_state/origins", message));
    }
    let tab = session.hidden_tab().await?;
    let written = write(session, &tab, &state.origins, deadline).await;
    session.close_tab(&tab).await?;
    written
}

async fn write(session: &Session, tab: &Tab, origins: &[Origin], deadline: Instant) -> Outcome<()> {
    for origin in origins {
        visit(tab, &origin.origin, deadline).await?;
        let entries = serde_json::to_string(&origin.local_storage).unwrap_or_default();
        let script = format!(
            "for (const {{ name, value }} of {entries}) localStorage.setItem(name, value); true"
        );
        let _: bool = evaluate_as(tab, &script, deadline).await?;
        session.saw(&origin.origin);
    }
    Ok(())
}

/// Opens an empty document of an origin, without asking anybody.
async fn visit(tab: &Tab, origin: &str, deadline: Instant) -> Outcome<()> {
    let wrong = || {
        let message = format!("expected an origin such as https://example.com, found {origin:?}");
        Fault::param("/storage_state/origins", message)
    };
    let url = Url::parse(origin)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(wrong)?;
    let everything = RequestPattern {
        url_pattern: Some("*".to_owned()),
        ..Default::default()
    };
    tab.call(
        &fetch::EnableParams {
            patterns: Some(vec![everything]),
            ..Default::default()
        },
        deadline,
    )
    .await?;
    let before = tab.status().commits;
    tab.call_as::<_, Value>(&NavigateParams::new(url.as_str()), deadline)
        .await?;
    tab.until(deadline, |status| status.commits > before && status.load)
        .await
}

/// The answer to a request of such a page.
pub(super) fn empty_document(request: &str) -> FulfillRequestParams {
    FulfillRequestParams {
        response_headers: Some(vec![fetch::HeaderEntry::new("Content-Type", "text/html")]),
        ..FulfillRequestParams::new(fetch::RequestId::from(request.to_owned()), 200)
    }
}

fn cookie(cookie: &Cookie) -> Outcome<CookieParam> {
    let same_site = match cookie.same_site.as_deref() {
        None => None,
        Some("Strict") => Some(CookieSameSite::Strict),
        Some("Lax") => Some(CookieSameSite::Lax),
        Some("None") => Some(CookieSameSite::None),
        Some(other) => {
            let message = format!(
                "{}: expected sameSite Strict, Lax or None, found {other:?}",
                cookie.name
            );
            return Err(Fault::param("/storage_state/cookies", message));
        }
    };
    Ok(CookieParam {
        domain: Some(cookie.domain.clone()),
        path: Some(cookie.path.clone()),
        secure: Some(cookie.secure),
        http_only: Some(cookie.http_only),
        same_site,
        expires: (cookie.expires >= 0.0).then(|| TimeSinceEpoch::new(cookie.expires)),
        ..CookieParam::new(cookie.name.as_str(), cookie.value.as_str())
    })
}
