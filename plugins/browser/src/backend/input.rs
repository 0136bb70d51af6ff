//! Clicking, typing, and what else a hand does.
#![expect(clippy::too_many_arguments, reason = "each is a parameter of its tool")]

use std::time::Duration;

use sandbox_plugin_api::prelude::*;

use super::{
    Browser,
    call::{at_most, done, optional},
};
use crate::{
    answers::{Chosen, Clicked, Noted, Pressed, Typed},
    page::{self, Session, Typing, Wanted},
};

/// The longest pause between two characters, in milliseconds: people who type more slowly give up.
const MAX_DELAY: u64 = 1000;

#[tools(input)]
impl Browser {
    /// Click an element, by its ref in browser:snapshot (best), by CSS selector, or a place of the window by x and y. Waits
    /// until the element is visible, enabled and not covered. A page that the click leads to is waited for.
    #[tool(title = "Click", example = r#"{"x": 10, "y": 10}"#)]
    async fn click(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// A CSS selector; the first element that it finds.
        selector: Option<String>,
        /// An element of the last snapshot: e12
        r#ref: Option<String>,
        /// Pixels from the window's left side, as in a screenshot.
        x: Option<f64>,
        /// Pixels from the window's top.
        y: Option<f64>,
    ) -> Result<Noted<Clicked>> {
        let (soon, end) = (self.soon(ctx), self.end(ctx, None)?);
        let place = match (x, y) {
            (Some(x), Some(y)) => Some((x, y)),
            (None, None) => None,
            (Some(_), None) => return Err(Error::param("/y", "is missing beside x")),
            (None, Some(_)) => return Err(Error::param("/x", "is missing beside y")),
        };
        let clicked = match (place, &selector, &r#ref) {
            (Some((x, y)), None, None) => json!([x, y]),
            (Some(_), ..) => {
                return Err(Error::param(
                    "/x",
                    "expected x and y, a selector or a ref; found several",
                ));
            }
            (None, Some(selector), _) => json!(selector),
            (None, None, reference) => json!(reference),
        };
        let element = if place.is_some() {
            None
        } else {
            Some(Wanted::new(selector, r#ref)?)
        };
        done(session, async {
            let tab = session.active().await?;
            match (&element, place) {
                (Some(element), _) => page::click(&tab, element, soon, end).await?,
                (None, Some(place)) => page::click_at(&tab, place, end).await?,
                (None, None) => {}
            }
            Ok(Clicked {
                clicked,
                url: session.url(end).await?,
            })
        })
        .await
    }

    /// Type text into an input, by its ref in browser:snapshot or by CSS selector; it is added to what is there, unless
    /// `clear`. Any script and emoji work. `submit` presses Enter afterwards.
    #[tool(
        title = "Type text",
        example = r#"{"selector": "input", "text": "héron", "clear": true}"#
    )]
    async fn r#type(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// A CSS selector; the first element that it finds.
        selector: Option<String>,
        /// An element of the last snapshot: e12
        r#ref: Option<String>,
        /// The text.
        text: String,
        /// Milliseconds between two characters, for pages that watch every key. 0 gives the whole text at once.
        #[serde(default)]
        delay: u64,
        /// Remove what is there first.
        #[serde(default)]
        clear: bool,
        /// Press Enter afterwards.
        #[serde(default)]
        submit: bool,
    ) -> Result<Noted<Typed>> {
        at_most("/text", text.len(), self.config.max_type_bytes, "bytes")?;
        if delay > MAX_DELAY {
            return Err(Error::param(
                "/delay",
                format!("expected at most {MAX_DELAY} milliseconds, found {delay}"),
            ));
        }
        let (soon, end) = (self.soon(ctx), self.end(ctx, None)?);
        let element = Wanted::new(selector, r#ref)?;
        let typing = Typing {
            text,
            delay: Duration::from_millis(delay),
            clear,
            submit,
        };
        done(session, async {
            let tab = session.active().await?;
            let value = page::type_text(&tab, &element, &typing, soon, end).await?;
            let value = page::Cut::new(value, self.config.max_text_bytes).text;
            Ok(Typed {
                typed: typing.text.clone(),
                value,
                url: session.url(end).await?,
            })
        })
        .await
    }

    /// Press a key or several at once in what has the focus: Enter, Escape, `ArrowDown`, `Control+A`, `Shift+Tab`.
    #[tool(title = "Press a key", example = r#"{"key": "Escape"}"#)]
    async fn press(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// The key, with those that are held before it: `Control+Shift+ArrowRight`
        key: String,
    ) -> Result<Noted<Pressed>> {
        let end = self.end(ctx, None)?;
        done(session, async {
            let tab = session.active().await?;
            page::press(&tab, &key, end).await?;
            Ok(Pressed {
                url: session.url(end).await?,
                key,
            })
        })
        .await
    }

    /// Scroll the page by dx and dy pixels, or to an element. With an element and dx or dy, the element's own content.
    #[tool(title = "Scroll", example = r#"{"dy": 500}"#)]
    async fn scroll(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// Pixels to the right; negative is left.
        #[serde(default)]
        dx: f64,
        /// Pixels down; negative is up.
        #[serde(default)]
        dy: f64,
        /// A CSS selector; the first element that it finds.
        selector: Option<String>,
        /// An element of the last snapshot: e12
        r#ref: Option<String>,
    ) -> Result<Noted<page::Scrolled>> {
        let (element, soon) = (optional(selector, r#ref)?, self.soon(ctx));
        done(session, async {
            let tab = session.active().await?;
            page::scroll(&tab, element.as_ref(), (dx, dy), soon).await
        })
        .await
    }

    /// Choose in a drop-down list (`select`), by the option's value or label.
    #[tool(
        title = "Choose an option",
        example = r#"{"selector": "select", "value": "m"}"#
    )]
    async fn select_option(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// A CSS selector; the first element that it finds.
        selector: Option<String>,
        /// An element of the last snapshot: e12
        r#ref: Option<String>,
        /// The option, or a list of them where several can be chosen.
        value: OneOrMany,
    ) -> Result<Noted<Chosen>> {
        let (soon, end) = (self.soon(ctx), self.end(ctx, None)?);
        let element = Wanted::new(selector, r#ref)?;
        let values = value.into_list();
        done(session, async {
            let tab = session.active().await?;
            let selected = page::select_option(&tab, &element, &values, soon, end).await?;
            Ok(Chosen { selected })
        })
        .await
    }
}

/// One value, or a list.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values,
        }
    }
}
