//! The session's tabs, and its cookies and storage.

use sandbox_plugin_api::prelude::*;

use super::{Browser, call::done};
use crate::{
    answers::{Noted, TabList},
    config::StorageState,
    failure::Fault,
    page::{self, Session},
};

#[tools(tabs)]
impl Browser {
    /// List the session's tabs, open an empty one, work in another, or close one. Pages that open windows get tabs too:
    /// answers say so in `opened_tabs`.
    #[tool(
        title = "Tabs",
        example = "{}",
        example = r#"{"action": "new"}"#,
        example = r#"{"action": "switch", "tab": 1}"#
    )]
    async fn tabs(
        &self,
        session: &Session,
        /// `list`, `new`, `switch` or `close`.
        #[serde(default)]
        action: TabAction,
        /// The tab's number; needed for switch, and for close if it is not the active one.
        tab: Option<u32>,
    ) -> Result<Noted<TabList>> {
        done(session, async {
            session.alive()?;
            match (action, tab) {
                (TabAction::List, _) => {}
                (TabAction::New, _) => session.open_tab().await.map(|_| ())?,
                (TabAction::Switch, Some(tab)) => session.switch(tab).await?,
                (TabAction::Switch, None) => {
                    return Err(Fault::param("/tab", "which tab? action list shows them"));
                }
                (TabAction::Close, tab) => session.shut(tab).await?,
            }
            Ok(TabList {
                tabs: session.tabs().await?,
            })
        })
        .await
    }

    /// Get the session's cookies and local storage, to give to another session as `storage_state` in its configuration.
    #[tool(read_only, title = "Save cookies and storage", example = "{}")]
    async fn save_state(
        &self,
        session: &Session,
        ctx: &CallContext,
    ) -> Result<Noted<StorageState>> {
        let end = self.end(ctx, None)?;
        done(session, async {
            session.alive()?;
            page::save(session, end).await
        })
        .await
    }
}

/// What to do with tabs.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum TabAction {
    /// Show them.
    #[default]
    List,
    /// Open an empty one and work in it.
    New,
    /// Work in another.
    Switch,
    /// Close one.
    Close,
}
