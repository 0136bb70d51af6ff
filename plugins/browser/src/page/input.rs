//! Hands: clicking, typing, keys, scrolling, choosing. Everything goes through the browser's own input, and what did not
//! take is an error.
#![expect(clippy::struct_field_names, reason = "the names are the protocol's")]

use std::time::Duration;

use chromiumoxide_cdp::cdp::{
    browser_protocol::input::{
        DispatchKeyEventParams, DispatchKeyEventType, DispatchMouseEventParams,
        DispatchMouseEventType, InsertTextParams, MouseButton,
    },
    js_protocol::runtime::EvaluateParams,
};
use sandbox_plugin_api::prelude::*;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    content::{argument, call_on, evaluate_as},
    element::Wanted,
    keys::{self, Chord},
    tab::Tab,
};
use crate::failure::{Fault, Outcome};

/// A page that is busy for longer than this after an action is not waited for.
const TURN: Duration = Duration::from_secs(1);

/// What the browser does of itself after the page's turn begins within this time.
const BEGINS: Duration = Duration::from_millis(30);

/// How text is to be typed.
#[derive(Debug)]
pub(crate) struct Typing {
    pub(crate) text: String,
    /// Between two characters; with 0 the text comes at once, as from an input method.
    pub(crate) delay: Duration,
    /// Away with what is there.
    pub(crate) clear: bool,
    /// Enter afterwards.
    pub(crate) submit: bool,
}

/// Clicks an element.
pub(crate) async fn click(
    tab: &Tab,
    wanted: &Wanted,
    deadline: Instant,
    end: Instant,
) -> Outcome<()> {
    let usable = wanted.usable(tab, true, deadline).await?;
    acting(tab, end, press_mouse(tab, usable.point, end)).await
}

/// Clicks a place of the window.
pub(crate) async fn click_at(tab: &Tab, (x, y): (f64, f64), end: Instant) -> Outcome<()> {
    let [width, height]: [f64; 2] = evaluate_as(tab, "[innerWidth, innerHeight]", end).await?;
    for (pointer, value, most) in [("/x", x, width), ("/y", y, height)] {
        if !(0.0..most).contains(&value) {
            return Err(Fault::param(
                pointer,
                format!("the window is {width} by {height} pixels, found {value}"),
            ));
        }
    }
    acting(tab, end, press_mouse(tab, (x, y), end)).await
}

async fn press_mouse(tab: &Tab, (x, y): (f64, f64), end: Instant) -> Outcome<()> {
    let event = |kind| DispatchMouseEventParams::new(kind, x, y);
    tab.call(&event(DispatchMouseEventType::MouseMoved), end)
        .await?;
    for (kind, buttons) in [
        (DispatchMouseEventType::MousePressed, 1),
        (DispatchMouseEventType::MouseReleased, 0),
    ] {
        let event = DispatchMouseEventParams {
            button: Some(MouseButton::Left),
            buttons: Some(buttons),
            click_count: Some(1),
            ..event(kind)
        };
        tab.call(&event, end).await?;
    }
    Ok(())
}

/// Does something, and waits for the page that it leads to, if it leads to one.
async fn acting(tab: &Tab, end: Instant, action: impl Future<Output = Outcome<()>>) -> Outcome<()> {
    let before = tab.status();
    match action.await {
        // The page that got the click closed itself, as it was meant to.
        Err(Fault::TabClosed) => return Ok(()),
        other => other?,
    }
    let begun = tokio::select! {
        biased;
        begun = tab.until(end, |status| status.requests > before.requests) => begun,
        () = settled(tab) => return Ok(()),
    };
    match begun {
        Ok(()) => {}
        Err(Fault::TimedOut(_) | Fault::TabClosed) => return Ok(()),
        Err(fault) => return Err(fault),
    }
    // It may also come to nothing: a download, or no content.
    let arrived = tab.until(end, |status| {
        status.dom && (status.commits > before.commits || status.stops > before.stops)
    });
    match arrived.await {
        Ok(()) if tab.status().commits == before.commits => {
            tab.download_begins().await;
            Ok(())
        }
        // A slow page does not undo the click.
        Ok(()) | Err(Fault::TimedOut(_) | Fault::TabClosed) => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// Waits until the page has done what an action's event left it to do: a form is sent in a task of its own, after the
/// event has been answered.
async fn settled(tab: &Tab) {
    let turn = EvaluateParams {
        await_promise: Some(true),
        ..EvaluateParams::new("new Promise(done => setTimeout(done))")
    };
    // A page that leaves takes the answer with it.
    let _ = tab.call(&turn, Instant::now() + TURN).await;
    sleep(BEGINS).await;
}

/// Gets an element ready for text: focuses it, puts the caret at its end or selects all. Answers how text goes in: by
/// keys, or, for inputs that have pickers, as a value; or why it cannot.
const READY: &str = "function(clear) {
    const element = this.localName === 'label' && this.control ? this.control : this;
    if (element.readOnly) return 'it is read-only';
    const input = element.localName === 'input';
    const kinds = ['text','search','url','tel','email','password','number',''];
    if (input && !kinds.includes(element.type)) {
        if (['date','time','datetime-local','month','week','color','range'].includes(element.type)) return 'value';
        return 'an input of type ' + element.type + ' takes no text';
    }
    if (!input && element.localName !== 'textarea' && !element.isContentEditable) return 'it takes no text';
    element.focus();
    const root = element.getRootNode();
    if (root.activeElement !== element && !element.contains(root.activeElement)) return 'it does not take the focus';
    if (input || element.localName === 'textarea') {
        if (clear) element.select();
        else try { element.setSelectionRange(element.value.length, element.value.length); } catch { }
    } else {
        const range = document.createRange();
        range.selectNodeContents(element);
        if (!clear) range.collapse(false);
        const selection = getSelection();
        selection.removeAllRanges();
        selection.addRange(range);
    }
    return 'keys';
}";

/// Gives a value to an input that has a picker.
const SET_VALUE: &str = "function(value) {
    const element = this.localName === 'label' && this.control ? this.control : this;
    element.focus();
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(element, value);
    if (element.value !== value && !(element.type === 'range' && value !== '' && Number(element.value) === Number(value)))
        return 'it does not take ' + JSON.stringify(value);
    element.dispatchEvent(new Event('input', { bubbles: true, composed: true }));
    element.dispatchEvent(new Event('change', { bubbles: true }));
    return '';
}";

/// What an element holds.
const VALUE: &str = "function() {
    const element = this.localName === 'label' && this.control ? this.control : this;
    return element.value ?? element.textContent ?? '';
}";

/// Types into an element; gives what the element holds then.
pub(crate) async fn type_text(
    tab: &Tab,
    wanted: &Wanted,
    typing: &Typing,
    deadline: Instant,
    end: Instant,
) -> Outcome<String> {
    let element = wanted.usable(tab, false, deadline).await?.object;
    let how: String = call_on(tab, &element, READY, vec![argument(typing.clear)], deadline).await?;
    match how.as_str() {
        "keys" => {
            let before: String = call_on(tab, &element, VALUE, Vec::new(), end).await?;
            write(tab, typing, !before.is_empty(), end).await?;
            let after: String = call_on(tab, &element, VALUE, Vec::new(), end).await?;
            let empty = typing.text.is_empty() || typing.text == before;
            if after == before && !empty && !typing.clear {
                return Err(Fault::failed(
                    "the element took no text: the page may forbid it, or it is full",
                ));
            }
            submit(tab, typing, end).await?;
            Ok(after)
        }
        "value" => {
            let wrong: String =
                call_on(tab, &element, SET_VALUE, vec![argument(&typing.text)], end).await?;
            if !wrong.is_empty() {
                return Err(Fault::param("/text", wrong));
            }
            submit(tab, typing, end).await?;
            Ok(typing.text.clone())
        }
        why => Err(Fault::failed(format!("no text can be typed there: {why}"))),
    }
}

async fn write(tab: &Tab, typing: &Typing, holds_text: bool, end: Instant) -> Outcome<()> {
    if typing.clear && holds_text && (typing.text.is_empty() || !typing.delay.is_zero()) {
        strike(tab, &keys::chord("Delete")?, end).await?;
    }
    if typing.delay.is_zero() {
        if typing.text.is_empty() {
            return Ok(());
        }
        return tab
            .call(&InsertTextParams::new(typing.text.as_str()), end)
            .await
            .map(|_| ());
    }
    for character in typing.text.chars() {
        match keys::writing(character) {
            Some(chord) => strike(tab, &chord, end).await?,
            None => tab
                .call(&InsertTextParams::new(character.to_string()), end)
                .await
                .map(|_| ())?,
        }
        if timeout_at(end, sleep(typing.delay)).await.is_err() {
            return Err(Fault::timed_out(
                "the text was not typed in time: a shorter delay is quicker",
            ));
        }
    }
    Ok(())
}

async fn submit(tab: &Tab, typing: &Typing, end: Instant) -> Outcome<()> {
    if typing.submit {
        press(tab, "Enter", end).await
    } else {
        Ok(())
    }
}

/// Presses a key, in what has the focus.
pub(crate) async fn press(tab: &Tab, key: &str, end: Instant) -> Outcome<()> {
    let chord = keys::chord(key)?;
    acting(tab, end, strike(tab, &chord, end)).await
}

async fn strike(tab: &Tab, chord: &Chord, end: Instant) -> Outcome<()> {
    let key = &chord.key;
    let event = |kind| DispatchKeyEventParams {
        modifiers: Some(chord.modifiers),
        key: Some(key.key.clone()),
        code: Some(key.code.clone()),
        windows_virtual_key_code: Some(key.number),
        native_virtual_key_code: Some(key.number),
        ..DispatchKeyEventParams::new(kind)
    };
    let down = match &key.text {
        None => event(DispatchKeyEventType::RawKeyDown),
        Some(text) => DispatchKeyEventParams {
            text: Some(text.clone()),
            unmodified_text: Some(text.clone()),
            ..event(DispatchKeyEventType::KeyDown)
        },
    };
    tab.call(&down, end).await?;
    tab.call(&event(DispatchKeyEventType::KeyUp), end).await?;
    Ok(())
}

/// Where something is scrolled to.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Scrolled {
    /// Pixels from the left and from the top.
    position: [f64; 2],
    /// How far it can go.
    max: [f64; 2],
}

/// Scrolls what can be scrolled in the middle of the window; an element is scrolled into it.
const SCROLL: &str = "(element, dx, dy) => {
    const scrolls = node => {
        const style = getComputedStyle(node);
        const may = (overflow, more) => /auto|scroll|overlay/.test(overflow) && more > 0;
        return may(style.overflowY, node.scrollHeight - node.clientHeight) || may(style.overflowX, node.scrollWidth - node.clientWidth);
    };
    const page = document.scrollingElement || document.documentElement;
    const moves = page.scrollHeight > innerHeight || page.scrollWidth > innerWidth;
    let area = page;
    if (element) {
        if (!dx && !dy) element.scrollIntoView({ behavior: 'instant', block: 'center', inline: 'nearest' });
        else area = element;
    } else if (!moves) {
        for (let node = document.elementFromPoint(innerWidth / 2, innerHeight / 2); node; node = node.parentElement)
            if (scrolls(node)) { area = node; break; }
    }
    area.scrollBy({ left: dx, top: dy, behavior: 'instant' });
    return {
        position: [Math.round(area.scrollLeft), Math.round(area.scrollTop)],
        max: [Math.max(0, area.scrollWidth - area.clientWidth), Math.max(0, area.scrollHeight - area.clientHeight)],
    };
}";

/// Scrolls by so many pixels, or to an element.
pub(crate) async fn scroll(
    tab: &Tab,
    wanted: Option<&Wanted>,
    by: (f64, f64),
    deadline: Instant,
) -> Outcome<Scrolled> {
    let (dx, dy) = by;
    match wanted {
        None => evaluate_as(tab, &format!("({SCROLL})(null, {dx}, {dy})"), deadline).await,
        Some(wanted) => {
            let element = wanted.present(tab, deadline).await?;
            let function = format!("function(dx, dy) {{ return ({SCROLL})(this, dx, dy) }}");
            call_on(
                tab,
                &element,
                &function,
                vec![argument(dx), argument(dy)],
                deadline,
            )
            .await
        }
    }
}

/// Chooses options by value or by label.
const SELECT: &str = "function(wanted) {
    const list = this.localName === 'label' && this.control ? this.control : this;
    if (list.localName !== 'select') return { wrong: 'it is no list of options, but <' + list.localName + '>' };
    if (wanted.length > 1 && !list.multiple) return { wrong: 'one option can be chosen in it, not ' + wanted.length };
    const options = [...list.options];
    const found = wanted.map(text => options.find(option => option.value === text)
        || options.find(option => option.label.trim() === text.trim()));
    const missing = found.indexOf(undefined);
    if (missing >= 0) return { unknown: wanted[missing], known: options.slice(0, 50).map(option => option.value) };
    const disabled = found.find(option => option.disabled || option.closest('optgroup[disabled]'));
    if (disabled) return { wrong: 'the option ' + JSON.stringify(disabled.value) + ' is disabled' };
    for (const option of options) option.selected = found.includes(option);
    list.dispatchEvent(new Event('input', { bubbles: true, composed: true }));
    list.dispatchEvent(new Event('change', { bubbles: true }));
    return { selected: [...list.selectedOptions].map(option => option.value) };
}";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Selected {
    wrong: Option<String>,
    unknown: Option<String>,
    known: Vec<String>,
    selected: Vec<String>,
}

/// Chooses in a list of options; gives the chosen values.
pub(crate) async fn select_option(
    tab: &Tab,
    wanted: &Wanted,
    values: &[String],
    deadline: Instant,
    end: Instant,
) -> Outcome<Vec<String>> {
    let element = wanted.usable(tab, false, deadline).await?.object;
    let mut selected = Selected::default();
    let choosing = async {
        selected = call_on(tab, &element, SELECT, vec![argument(values)], end).await?;
        Ok(())
    };
    acting(tab, end, choosing).await?;
    if let Some(wrong) = selected.wrong {
        return Err(Fault::failed(wrong));
    }
    if let Some(unknown) = selected.unknown {
        let known = selected.known.join(", ");
        return Err(Fault::param(
            "/value",
            format!("there is no option {unknown:?}; there are: {known}"),
        ));
    }
    Ok(selected.selected)
}
