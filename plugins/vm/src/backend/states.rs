//! States of the desktop, kept and gone back to.

use std::time::Instant;

use sandbox_plugin_api::prelude::*;

use super::Vm;
use crate::answer::Kept;
use crate::session::Session;

#[tools(states)]
impl Vm {
    /// Keep the desktop's state under a name, to come back to with `vm:restore`.
    #[tool(title = "Keep the desktop's state")]
    async fn snapshot(
        &self,
        session: &Session,
        /// The name.
        name: String,
    ) -> Result<Kept> {
        let begun = Instant::now();
        session.desktop.snapshot(&name).await?;
        let ms = begun.elapsed().as_millis();
        Ok(Kept { name, ms })
    }

    /// Go back to a state that `vm:snapshot` kept.
    #[tool(destructive, title = "Go back to a kept state")]
    async fn restore(
        &self,
        session: &Session,
        /// The name.
        name: String,
    ) -> Result<Kept> {
        let begun = Instant::now();
        session.desktop.restore(&name).await?;
        let ms = begun.elapsed().as_millis();
        Ok(Kept { name, ms })
    }
}
