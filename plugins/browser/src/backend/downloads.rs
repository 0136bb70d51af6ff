//! What the session's pages have downloaded.

use sandbox_plugin_api::prelude::*;

use super::{
    Browser,
    call::{at_most, done},
};
use crate::{
    answers::{DownloadList, Noted},
    failure::Fault,
    page::{Piece, Session},
};

#[tools(downloads)]
impl Browser {
    /// List what the session's pages have downloaded. New downloads are also told in the answers of other tools.
    #[tool(read_only, title = "List downloads", example = "{}")]
    async fn downloads(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// Wait until none is under way, at most so many milliseconds.
        wait: Option<u64>,
    ) -> Result<Noted<DownloadList>> {
        let end = wait.map(|wait| self.end(ctx, Some(wait))).transpose()?;
        done(session, async {
            session.alive()?;
            if let Some(end) = end
                && !session.downloads_done(end).await
            {
                return Err(Fault::timed_out("a download is still under way: ask again"));
            }
            Ok(DownloadList {
                list: session.downloads(),
            })
        })
        .await
    }

    /// Read a downloaded file: text as `text`, anything else as `base64`.
    #[tool(read_only, title = "Read a download", example = r#"{"id": "d1"}"#)]
    async fn read_download(
        &self,
        session: &Session,
        /// Which one, as browser:downloads names it: d1
        id: String,
        /// The first byte.
        #[serde(default)]
        offset: u64,
        /// How many bytes at most.
        max_bytes: Option<usize>,
    ) -> Result<Noted<Piece>> {
        let most = max_bytes.unwrap_or(self.config.max_read_bytes);
        at_most("/max_bytes", most, self.config.max_read_bytes, "bytes")?;
        done(session, session.read_download(&id, offset, most.max(1))).await
    }
}
