//! What is in a page: as an outline with refs, as text, as a picture, and as a script sees it.

use sandbox_plugin_api::prelude::*;

use super::{
    Browser,
    call::{done, optional},
};
use crate::{
    answers::{Evaluated, Noted, PageText, Pictured, Snapped},
    page::{self, Form, Format, Session, Wanted},
};

#[tools(reading)]
impl Browser {
    /// Look at the page: every heading, text, link, button and input, one a line, with a ref (e12) that click, type and
    /// the others take. This is the way to find out what can be done in a page. Take a new one after the page changed.
    #[tool(read_only, title = "Look at the page", example = "{}")]
    async fn snapshot(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// Leave out what only holds other elements together.
        #[default(true)]
        interesting_only: bool,
    ) -> Result<Noted<Snapped>> {
        let end = self.end(ctx, None)?;
        done(session, async {
            let tab = session.active().await?;
            let mut cut =
                page::snapshot(&tab, interesting_only, self.config.max_text_bytes, end).await?;
            let (url, title) = session.place(end).await?;
            Ok(Snapped {
                snapshot: std::mem::take(&mut cut.text),
                url,
                title,
                cut,
            })
        })
        .await
    }

    /// Read the text of the page, or of one element, as a person sees it.
    #[tool(read_only, title = "Read the text", example = "{}")]
    async fn get_text(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// A CSS selector; the first element that it finds.
        #[serde(default = "body")]
        selector: String,
        /// `text`, `markdown` or `html`.
        #[serde(default)]
        format: Form,
    ) -> Result<Noted<PageText>> {
        self.read(session, ctx, selector, format).await
    }

    /// Read the page, or one element, as Markdown (for reading), text or HTML (for its structure).
    #[tool(
        alias = "extract",
        read_only,
        title = "Read the content",
        example = "{}",
        example = r#"{"format": "html"}"#
    )]
    async fn get_content(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// A CSS selector; the first element that it finds.
        #[serde(default = "body")]
        selector: String,
        /// `markdown`, `text` or `html`.
        #[default(Form::Markdown)]
        format: Form,
    ) -> Result<Noted<PageText>> {
        self.read(session, ctx, selector, format).await
    }

    /// Take a picture of the window, of the whole page, or of one element. For finding things to click, browser:snapshot
    /// is better and smaller.
    #[tool(
        read_only,
        title = "Take a screenshot",
        example = "{}",
        example = r#"{"full_page": true, "format": "jpeg"}"#
    )]
    async fn screenshot(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// The whole page and not only what the window shows.
        #[serde(default)]
        full_page: bool,
        /// Only the first element that this CSS selector finds.
        selector: Option<String>,
        /// Only the element that a snapshot named so: e12
        r#ref: Option<String>,
        /// `png` is exact, `jpeg` smaller.
        #[serde(default)]
        format: Format,
    ) -> Result<Reply> {
        let element = optional(selector, r#ref)?;
        let end = if element.is_some() {
            self.soon(ctx)
        } else {
            self.end(ctx, None)?
        };
        let most = self.config.max_screenshot_height;
        let mut picture = Vec::new();
        let noted = done(session, async {
            let tab = session.active().await?;
            let shot = page::shoot(&tab, full_page, element.as_ref(), format, most, end).await?;
            picture = shot.bytes;
            Ok(Pictured {
                size: shot.size,
                truncated: shot.truncated,
            })
        })
        .await?;
        let media_type = if format == Format::Png {
            "image/png"
        } else {
            "image/jpeg"
        };
        Ok(Reply::new(noted)?.with_binary("image", media_type, picture))
    }

    /// Run JavaScript in the page and get its result as JSON: an expression, statements with `return`, or a function.
    /// Promises are waited for.
    #[tool(
        title = "Run JavaScript",
        example = r#"{"script": "document.title"}"#,
        example = r#"{"script": "return 1 + 1"}"#
    )]
    async fn evaluate(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// The script.
        script: String,
        /// Milliseconds after which it is stopped.
        timeout: Option<u64>,
    ) -> Result<Noted<Evaluated>> {
        let end = self.end(ctx, timeout)?;
        done(session, async {
            let tab = session.active().await?;
            let result = page::evaluate(&tab, &script, self.config.max_result_bytes, end).await?;
            Ok(Evaluated { result })
        })
        .await
    }
}

impl Browser {
    async fn read(
        &self,
        session: &Session,
        ctx: &CallContext,
        selector: String,
        form: Form,
    ) -> Result<Noted<PageText>> {
        let end = self.soon(ctx);
        let element = Wanted::new(Some(selector), None)?;
        done(session, async {
            let tab = session.active().await?;
            let mut cut = page::text(&tab, &element, form, self.config.max_text_bytes, end).await?;
            let text = Some(std::mem::take(&mut cut.text));
            let (text, html) = if form == Form::Html {
                (None, text)
            } else {
                (text, None)
            };
            Ok(PageText { text, html, cut })
        })
        .await
    }
}

fn body() -> String {
    "body".to_owned()
}
