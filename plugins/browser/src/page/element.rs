//! Finding the element that a caller means, and waiting until it can be used.

use std::time::Duration;

use chromiumoxide_cdp::cdp::browser_protocol::dom::{
    BackendNodeId, GetContentQuadsParams, GetNodeForLocationParams, ResolveNodeParams,
    ScrollIntoViewIfNeededParams,
};
use chromiumoxide_cdp::cdp::browser_protocol::page::GetLayoutMetricsParams;
use chromiumoxide_cdp::cdp::js_protocol::runtime::{CallArgument, RemoteObjectId};
use sandbox_plugin_api::prelude::*;
use tokio::time::{Instant, sleep};

use super::{
    content::{HELD, call_on, object},
    tab::Tab,
};
use crate::failure::{Fault, Outcome};

/// How often it is looked again whether an element is there: a page paints every 16 ms.
const AGAIN: Duration = Duration::from_millis(40);

/// Which element a caller means.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// The first that this CSS selector finds.
    Selector(String),
    /// The one that a snapshot named so.
    Ref(u32),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WaitFor {
    /// It can be seen.
    #[default]
    Visible,
    /// It is in the document.
    Attached,
    /// It cannot be seen, or is not there.
    Hidden,
    /// It is not in the document.
    Detached,
}

/// An element that can be used.
pub(super) struct Usable {
    /// Its name in the browser.
    pub(super) object: String,
    /// Where to click it, in pixels of the viewport.
    pub(super) point: (f64, f64),
}

/// Why an element cannot be used yet.
enum NotYet {
    Missing,
    Because(String),
}

impl Wanted {
    /// What the parameters say: exactly one of the two.
    pub(crate) fn new(selector: Option<String>, reference: Option<String>) -> Outcome<Self> {
        match (selector, reference) {
            (Some(selector), None) if !selector.trim().is_empty() => Ok(Self::Selector(selector)),
            (None, Some(reference)) => {
                let number = reference
                    .trim_start_matches('@')
                    .strip_prefix('e')
                    .and_then(|number| number.parse().ok());
                number.map(Self::Ref).ok_or_else(|| {
                    Fault::param(
                        "/ref",
                        format!(
                            "expected a ref of browser:snapshot such as e12, found {reference:?}"
                        ),
                    )
                })
            }
            (Some(_), None) => Err(Fault::param(
                "/selector",
                "expected a CSS selector, found nothing",
            )),
            (Some(_), Some(_)) => Err(Fault::param(
                "/ref",
                "expected a selector or a ref, found both",
            )),
            (None, None) => Err(Fault::param(
                "/selector",
                "expected a selector, or a ref of browser:snapshot",
            )),
        }
    }

    /// What callers read.
    fn named(&self) -> String {
        match self {
            Self::Selector(selector) => selector.clone(),
            Self::Ref(number) => format!("e{number}"),
        }
    }

    /// The element now; `None` if there is none.
    async fn find(&self, tab: &Tab, deadline: Instant) -> Outcome<Option<String>> {
        match self {
            Self::Selector(selector) => {
                let text = serde_json::to_string(selector).unwrap_or_default();
                let found =
                    object(tab, &format!("document.querySelector({text})"), deadline).await?;
                found.map_err(|message| {
                    let message = message.lines().next().unwrap_or_default().to_owned();
                    Fault::param(
                        "/selector",
                        format!("expected a CSS selector, found {selector:?}: {message}"),
                    )
                })
            }
            Self::Ref(number) => {
                let gone = || {
                    let message =
                        "is of a page or an element that is gone: take a new browser:snapshot";
                    Fault::param("/ref", format!("e{number} {message}"))
                };
                let node = tab.named(*number).ok_or_else(gone)?;
                let params = ResolveNodeParams {
                    object_group: Some(HELD.to_owned()),
                    backend_node_id: Some(BackendNodeId::new(node)),
                    ..Default::default()
                };
                match tab.call(&params, deadline).await {
                    Ok(found) => {
                        let object = found
                            .object
                            .object_id
                            .map(|id| id.inner().clone())
                            .ok_or_else(gone)?;
                        let connected = "function() { return this.isConnected }";
                        let there: bool =
                            call_on(tab, &object, connected, Vec::new(), deadline).await?;
                        if there { Ok(Some(object)) } else { Err(gone()) }
                    }
                    Err(Fault::Failed(_)) => Err(gone()),
                    Err(fault) => Err(fault),
                }
            }
        }
    }

    /// Waits until the element is there.
    pub(super) async fn present(&self, tab: &Tab, deadline: Instant) -> Outcome<String> {
        let mut last = None;
        loop {
            let wait = match self.find(tab, deadline).await {
                Ok(Some(object)) => return Ok(object),
                Ok(None) => NotYet::Missing,
                // The document may just be making room for another.
                Err(Fault::Failed(message)) => NotYet::Because(message),
                Err(fault) => return Err(self.out_of_time(fault, last)),
            };
            if Instant::now() + AGAIN >= deadline {
                return Err(self.unusable(wait));
            }
            last = Some(wait);
            sleep(AGAIN).await;
        }
    }

    /// Waits until the element is there, visible, enabled and, for a click, not covered by another.
    pub(super) async fn usable(
        &self,
        tab: &Tab,
        uncovered: bool,
        deadline: Instant,
    ) -> Outcome<Usable> {
        let mut last = None;
        loop {
            let wait = match self.look(tab, uncovered, deadline).await {
                Ok(Ok(usable)) => return Ok(usable),
                Ok(Err(wait)) => wait,
                Err(fault) => return Err(self.out_of_time(fault, last)),
            };
            if Instant::now() + AGAIN >= deadline {
                return Err(self.unusable(wait));
            }
            last = Some(wait);
            sleep(AGAIN).await;
        }
    }

    async fn look(
        &self,
        tab: &Tab,
        uncovered: bool,
        deadline: Instant,
    ) -> Outcome<Result<Usable, NotYet>> {
        let looked = async {
            match self.find(tab, deadline).await? {
                None => Ok(Err(NotYet::Missing)),
                Some(object) => is_usable(tab, object, uncovered, deadline).await,
            }
        };
        match looked.await {
            // The page may have replaced the element, or itself, while it was looked at.
            Err(Fault::Failed(message)) => Ok(Err(NotYet::Because(message))),
            other => other,
        }
    }

    /// What ended the wait: when the time was up in the middle of a look, what the one before saw tells more.
    fn out_of_time(&self, fault: Fault, last: Option<NotYet>) -> Fault {
        match (fault, last) {
            (Fault::TimedOut(_), Some(last)) => self.unusable(last),
            (fault, _) => fault,
        }
    }

    fn unusable(&self, why: NotYet) -> Fault {
        let name = self.named();
        Fault::failed(match why {
            NotYet::Missing => {
                format!("there is no element {name} in the page: look at browser:snapshot")
            }
            NotYet::Because(why) => format!("{name} cannot be used: {why}"),
        })
    }
}

/// Whether an element can be seen and used; an empty text if so.
const STATE: &str = "function() {
    const element = this.nodeType === 1 ? this : this.parentElement;
    if (!element || !element.isConnected) return 'it is gone';
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (style.visibility !== 'visible' || box.width === 0 && box.height === 0 && element.getClientRects().length === 0)
        return 'it is not visible';
    if (element.matches(':disabled, [aria-disabled=\"true\"]')) return 'it is disabled';
    return '';
}";

/// Whether what is hit belongs to the element; else what it is.
const COVERS: &str = "function(hit) {
    const describe = node => {
        const element = node.nodeType === 1 ? node : node.parentElement;
        if (!element) return 'something else';
        const id = element.id ? '#' + element.id : '';
        const kind = typeof element.className === 'string' ? element.className.trim() : '';
        return '<' + element.localName + id + (kind ? '.' + kind.split(/\\s+/).slice(0, 3).join('.') : '') + '>';
    };
    const element = this.nodeType === 1 ? this : this.parentElement;
    for (let node = hit; node; node = node.assignedSlot || node.parentNode || node.host) {
        if (node === element) return '';
        if (node.localName === 'label' && node.control === element) return '';
    }
    if (element.localName === 'label' && element.control && element.control.contains(hit)) return '';
    if (element.localName === 'option' && hit.localName === 'select') return '';
    return describe(hit);
}";

async fn is_usable(
    tab: &Tab,
    object: String,
    uncovered: bool,
    deadline: Instant,
) -> Outcome<Result<Usable, NotYet>> {
    let state: String = call_on(tab, &object, STATE, Vec::new(), deadline).await?;
    if !state.is_empty() {
        return Ok(Err(NotYet::Because(state)));
    }
    let id = || Some(RemoteObjectId::new(object.clone()));
    let scroll = ScrollIntoViewIfNeededParams {
        object_id: id(),
        ..Default::default()
    };
    tab.call(&scroll, deadline).await?;
    let quads = GetContentQuadsParams {
        object_id: id(),
        ..Default::default()
    };
    let quads = tab.call(&quads, deadline).await?.quads;
    let Some(point) = quads.iter().find_map(|quad| middle(quad.inner())) else {
        return Ok(Err(NotYet::Because("it has no area".to_owned())));
    };
    if uncovered && let Some(other) = covered(tab, &object, point, deadline).await? {
        return Ok(Err(NotYet::Because(format!("{other} covers it"))));
    }
    Ok(Ok(Usable { object, point }))
}

/// The middle of four corners, if they enclose anything.
fn middle(quad: &[f64]) -> Option<(f64, f64)> {
    let [ax, ay, bx, by, cx, cy, dx, dy] = quad else {
        return None;
    };
    let area =
        ((ax * by - bx * ay) + (bx * cy - cx * by) + (cx * dy - dx * cy) + (dx * ay - ax * dy))
            .abs()
            / 2.0;
    (area > 0.9).then(|| ((ax + bx + cx + dx) / 4.0, (ay + by + cy + dy) / 4.0))
}

/// What lies over the element at this point.
async fn covered(
    tab: &Tab,
    object: &str,
    (x, y): (f64, f64),
    deadline: Instant,
) -> Outcome<Option<String>> {
    // The place is asked for in the document, the point is one of the window.
    let layout = tab
        .call(&GetLayoutMetricsParams::default(), deadline)
        .await?
        .css_layout_viewport;
    let whole = |pixels: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "no page has so many pixels"
        )]
        let whole = pixels.floor() as i64;
        whole
    };
    let params = GetNodeForLocationParams::new(whole(x) + layout.page_x, whole(y) + layout.page_y);
    let hit = match tab.call(&params, deadline).await {
        Ok(hit) => hit.backend_node_id,
        Err(Fault::Failed(_)) => {
            return Ok(Some(
                "nothing of the page is there: it is outside, which".to_owned(),
            ));
        }
        Err(fault) => return Err(fault),
    };
    let resolve = ResolveNodeParams {
        object_group: Some(HELD.to_owned()),
        backend_node_id: Some(hit),
        ..Default::default()
    };
    let Some(hit) = tab.call(&resolve, deadline).await?.object.object_id else {
        return Ok(None);
    };
    let argument = CallArgument {
        object_id: Some(hit),
        ..Default::default()
    };
    match call_on::<String>(tab, object, COVERS, vec![argument], deadline).await {
        Ok(other) => Ok((!other.is_empty()).then_some(other)),
        // They are of two documents, and so one cannot be inside the other.
        Err(Fault::Failed(message)) if message.contains("same JavaScript world") => {
            Ok(Some("another frame".to_owned()))
        }
        Err(fault) => Err(fault),
    }
}

/// Waits until the selector's element is as wanted.
pub(crate) async fn wait_for(
    tab: &Tab,
    selector: &str,
    state: WaitFor,
    deadline: Instant,
) -> Outcome<()> {
    let wanted = Wanted::new(Some(selector.to_owned()), None)?;
    loop {
        match is_so(tab, &wanted, state, deadline).await {
            Ok(true) => return Ok(()),
            // Replaced while it was looked at: look again.
            Ok(false) | Err(Fault::Failed(_)) => {}
            Err(Fault::TimedOut(_)) if Instant::now() >= deadline => {}
            Err(fault) => return Err(fault),
        }
        if Instant::now() + AGAIN >= deadline {
            let state = match state {
                WaitFor::Visible => "visible",
                WaitFor::Attached => "there",
                WaitFor::Hidden => "hidden",
                WaitFor::Detached => "gone",
            };
            return Err(Fault::timed_out(format!(
                "{selector} was not {state} in time"
            )));
        }
        sleep(AGAIN).await;
    }
}

async fn is_so(tab: &Tab, wanted: &Wanted, state: WaitFor, deadline: Instant) -> Outcome<bool> {
    let found = wanted.find(tab, deadline).await?;
    let Some(object) = found else {
        return Ok(matches!(state, WaitFor::Hidden | WaitFor::Detached));
    };
    if matches!(state, WaitFor::Attached | WaitFor::Detached) {
        return Ok(state == WaitFor::Attached);
    }
    let why: String = call_on(tab, &object, STATE, Vec::new(), deadline).await?;
    let visible = why.is_empty() || why == "it is disabled";
    Ok(visible == (state == WaitFor::Visible))
}
