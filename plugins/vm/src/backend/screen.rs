//! What is on the screen.

use sandbox_plugin_api::prelude::*;

use super::Vm;
use crate::answer::{About, Seen};
use crate::session::Session;

#[tools(screen)]
impl Vm {
    /// Take a picture of the screen, with the pointer. Coordinates of all other tools are its pixels, 0, 0 top left.
    #[tool(read_only, title = "Take a picture of the screen", example = "{}")]
    async fn screenshot(&self, session: &Session) -> Result<Reply> {
        let picture = session.desktop.picture().await?;
        let accessibility_tree = session.desktop.accessibility().await?;
        let size = [picture.width, picture.height];
        let png = tokio::task::spawn_blocking(move || picture.png()).await??;
        let seen = Seen {
            size,
            session: session.name.clone(),
            accessibility_tree,
        };
        Ok(Reply::new(seen)?.with_png(png))
    }

    /// Tell what this desktop is: its provider, its screen, and where a person can look at it, if the server lets them.
    #[tool(read_only, idempotent, title = "Describe the desktop", example = "{}")]
    async fn info(&self, session: &Session) -> Result<About> {
        Ok(About {
            session: session.name.clone(),
            provider: self.config.provider,
            size: session.desktop.size().await?,
            vnc: session.desktop.view(),
        })
    }
}
