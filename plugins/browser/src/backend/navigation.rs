//! Going somewhere, and waiting for what is there.

use sandbox_plugin_api::prelude::*;

use super::{Browser, call::done};
use crate::{
    answers::{Found, Noted},
    page::{self, Direction, Landed, Session, WaitFor, WaitUntil},
};

#[tools(navigation)]
impl Browser {
    /// Open an address in the active tab and wait until it has loaded. Begin here; then look with browser:snapshot. An
    /// address that is a file is downloaded.
    #[tool(
        alias = "navigate",
        title = "Open an address",
        example = r#"{"url": "about:blank"}"#
    )]
    async fn goto(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// The whole address: `https://example.com/`
        url: String,
        /// How far the page must be: `load`, `domcontentloaded` (sooner), `networkidle` (later, for pages that fetch
        /// what they show).
        #[serde(default)]
        wait_until: WaitUntil,
        /// Milliseconds to wait at most.
        timeout: Option<u64>,
    ) -> Result<Noted<Landed>> {
        let end = self.end(ctx, timeout)?;
        done(session, page::goto(session, &url, wait_until, end)).await
    }

    /// Go back to the page before.
    #[tool(title = "Go back", example = "{}")]
    async fn back(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// How far the page must be.
        #[serde(default)]
        wait_until: WaitUntil,
        /// Milliseconds to wait at most.
        timeout: Option<u64>,
    ) -> Result<Noted<Landed>> {
        let end = self.end(ctx, timeout)?;
        done(
            session,
            page::travel(session, Direction::Back, wait_until, end),
        )
        .await
    }

    /// Go forward again.
    #[tool(title = "Go forward", example = "{}")]
    async fn forward(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// How far the page must be.
        #[serde(default)]
        wait_until: WaitUntil,
        /// Milliseconds to wait at most.
        timeout: Option<u64>,
    ) -> Result<Noted<Landed>> {
        let end = self.end(ctx, timeout)?;
        done(
            session,
            page::travel(session, Direction::Forward, wait_until, end),
        )
        .await
    }

    /// Load the page again.
    #[tool(title = "Load again", example = "{}")]
    async fn reload(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// How far the page must be.
        #[serde(default)]
        wait_until: WaitUntil,
        /// Milliseconds to wait at most.
        timeout: Option<u64>,
    ) -> Result<Noted<Landed>> {
        let end = self.end(ctx, timeout)?;
        done(session, page::reload(session, wait_until, end)).await
    }

    /// Wait until an element is there, or gone.
    #[tool(
        read_only,
        title = "Wait for an element",
        example = r#"{"selector": "body", "state": "attached"}"#
    )]
    async fn wait_for_selector(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// A CSS selector.
        selector: String,
        /// `visible`, `attached` (in the document), `hidden` or `detached`.
        #[serde(default)]
        state: WaitFor,
        /// Milliseconds to wait at most.
        timeout: Option<u64>,
    ) -> Result<Noted<Found>> {
        let end = self.end(ctx, timeout)?;
        done(session, async {
            let tab = session.active().await?;
            page::wait_for(&tab, &selector, state, end).await?;
            Ok(Found { found: true })
        })
        .await
    }
}
