//! Going somewhere: addresses, back and forward, reload, and waiting until the page is as far as the caller wants.

use chromiumoxide_cdp::cdp::browser_protocol::page::{
    GetNavigationHistoryParams, NavigateParams, NavigateToHistoryEntryParams, ReloadParams,
    StopLoadingParams,
};
use sandbox_plugin_api::prelude::*;
use tokio::time::Instant;
use url::Url;

use super::{content::evaluate_as, downloads::Download, session::Session, tab::Tab};
use crate::{
    failure::{Fault, Outcome},
    gate::DialError,
};

/// How far a page must be before the answer.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WaitUntil {
    /// Everything that the page names is there.
    #[default]
    Load,
    /// The text is there and its scripts have run.
    DomContentLoaded,
    /// The page is loaded and has asked for nothing for half a second.
    NetworkIdle,
}

/// Which way through the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Back,
    Forward,
}

/// Where a page is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Landed {
    /// The address at last, after all redirects.
    url: String,
    title: String,
    /// The server's HTTP status; null for pages that no server sent.
    status: Option<u16>,
    /// The file, if the address was a download. The page is then the one that was there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    download: Option<Download>,
}

#[derive(Deserialize)]
struct Facts {
    url: String,
    title: String,
    status: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Navigated {
    loader_id: Option<String>,
    error_text: Option<String>,
}

/// Opens an address.
pub(crate) async fn goto(
    session: &Session,
    address: &str,
    wait: WaitUntil,
    deadline: Instant,
) -> Outcome<Landed> {
    let url = allowed(session, address)?;
    let tab = session.active().await?;
    let answer: Outcome<Navigated> = tab
        .call_as(&NavigateParams::new(url.as_str()), deadline)
        .await;
    if matches!(answer, Err(Fault::TimedOut(_))) {
        // What comes too late must not get in the way of what is asked for next.
        tab.tell(&StopLoadingParams {});
    }
    let answer = answer.map_err(|fault| in_words(fault, &url))?;
    if let Some(error) = answer.error_text {
        return not_there(session, &tab, &url, &error, deadline).await;
    }
    // Without a new document it was a place within the one that is there.
    if let Some(loader) = answer.loader_id {
        let arrived = tab.until(deadline, |status| {
            status.has_seen(&loader) && status.reached(wait)
        });
        arrived.await.map_err(|fault| in_words(fault, &url))?;
    }
    let landed = landed(&tab, deadline).await?;
    refused(session, &landed)?;
    Ok(landed)
}

/// Which addresses may be asked for at all.
fn allowed(session: &Session, address: &str) -> Outcome<Url> {
    let url = Url::parse(address).map_err(|error| {
        Fault::param(
            "/url",
            format!(
                "expected a whole address such as https://example.com/, found {address:?}: {error}"
            ),
        )
    })?;
    match url.scheme() {
        "http" | "https" => {
            let (host, port) = (
                url.host_str().unwrap_or_default(),
                url.port_or_known_default().unwrap_or(0),
            );
            session
                .gate
                .forbids(host, port)
                .map_or(Ok(url), |error| Err(error.into()))
        }
        "data" => Ok(url),
        "about" if url.path() == "blank" => Ok(url),
        scheme => Err(Fault::param(
            "/url",
            format!("expected http, https, data or about:blank, found {scheme}"),
        )),
    }
}

fn in_words(fault: Fault, url: &Url) -> Fault {
    match fault {
        Fault::TimedOut(_) => {
            let mut url = url.to_string();
            url.truncate(
                url.char_indices()
                    .nth(200)
                    .map_or(url.len(), |(end, _)| end),
            );
            Fault::timed_out(format!(
                "{url} did not load in time; what there is of it can be read"
            ))
        }
        other => other,
    }
}

/// Why a page did not come: the proxy knows better than the browser.
async fn not_there(
    session: &Session,
    tab: &Tab,
    url: &Url,
    error: &str,
    deadline: Instant,
) -> Outcome<Landed> {
    if error == "net::ERR_ABORTED" {
        if let Some(download) = session.download_from(url.as_str()).await {
            let mut landed = landed(tab, deadline).await?;
            landed.download = Some(download);
            return Ok(landed);
        }
        let why = "the server sent nothing to show, or another navigation took over";
        return Err(Fault::failed(format!("{url} was not opened: {why}")));
    }
    // A redirect may have led elsewhere: any trouble since the last answer is the reason.
    let trouble = trouble_at(session, url).or_else(|| session.gate.last_trouble());
    match trouble {
        Some(trouble) => Err(trouble.into()),
        None => Err(Fault::failed(format!("{url} was not opened: {error}"))),
    }
}

fn trouble_at(session: &Session, url: &Url) -> Option<DialError> {
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    session.gate.trouble_with(&format!("{host}:{port}"))
}

/// A page that the proxy wrote, to say that there is none.
fn refused(session: &Session, landed: &Landed) -> Outcome<()> {
    let ours = matches!(landed.status, Some(403 | 502));
    let url = Url::parse(&landed.url).ok().filter(|_| ours);
    let trouble = url.and_then(|url| trouble_at(session, &url));
    trouble.map_or(Ok(()), |trouble| Err(trouble.into()))
}

/// Where the page is now.
pub(super) async fn landed(tab: &Tab, deadline: Instant) -> Outcome<Landed> {
    let script = "({url: location.href, title: document.title, \
                  status: performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0})";
    let facts: Facts = evaluate_as(tab, script, deadline).await?;
    Ok(Landed {
        url: facts.url,
        title: facts.title,
        status: (facts.status != 0).then_some(facts.status),
        download: None,
    })
}

/// Goes back or forward.
pub(crate) async fn travel(
    session: &Session,
    way: Direction,
    wait: WaitUntil,
    deadline: Instant,
) -> Outcome<Landed> {
    let tab = session.active().await?;
    let history = tab
        .call(&GetNavigationHistoryParams::default(), deadline)
        .await?;
    let place = match way {
        Direction::Back => history.current_index - 1,
        Direction::Forward => history.current_index + 1,
    };
    let entry = usize::try_from(place)
        .ok()
        .and_then(|place| history.entries.get(place));
    let entry = entry.ok_or_else(|| {
        Fault::failed(match way {
            Direction::Back => "there is no page to go back to",
            Direction::Forward => "there is no page to go forward to",
        })
    })?;
    let before = tab.status().commits;
    tab.call(&NavigateToHistoryEntryParams::new(entry.id), deadline)
        .await?;
    arrive(session, &tab, before, wait, deadline).await
}

/// Loads the page again.
pub(crate) async fn reload(
    session: &Session,
    wait: WaitUntil,
    deadline: Instant,
) -> Outcome<Landed> {
    let tab = session.active().await?;
    let before = tab.status().commits;
    tab.call(&ReloadParams::default(), deadline).await?;
    arrive(session, &tab, before, wait, deadline).await
}

async fn arrive(
    session: &Session,
    tab: &Tab,
    before: u64,
    wait: WaitUntil,
    deadline: Instant,
) -> Outcome<Landed> {
    tab.until(deadline, |status| {
        status.commits > before && status.reached(wait)
    })
    .await?;
    let landed = landed(tab, deadline).await?;
    refused(session, &landed)?;
    Ok(landed)
}
