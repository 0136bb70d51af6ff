//! Waiting, and the ends of a task.

use sandbox_plugin_api::prelude::*;

use super::Vm;
use crate::answer::Waited;

#[tools(flow)]
impl Vm {
    /// Wait, as for a program that is starting.
    #[tool(read_only, title = "Wait", example = r#"{"seconds": 0.1}"#)]
    async fn wait(
        &self,
        /// How long.
        #[default(1.0)]
        seconds: f64,
    ) -> Result<Waited> {
        tokio::time::sleep(self.seconds("/seconds", seconds)?).await;
        Ok(Waited { waited: seconds })
    }

    /// Say that the task is done.
    #[tool(read_only, idempotent, title = "The task is done", example = "{}")]
    async fn done(&self) -> Result<Value> {
        Ok(json!({ "done": true }))
    }

    /// Say that the task cannot be done, and why.
    #[tool(
        read_only,
        idempotent,
        title = "The task cannot be done",
        example = r#"{"reason": "no such file"}"#
    )]
    async fn fail(
        &self,
        /// Why.
        #[default(String::new())]
        reason: String,
    ) -> Result<Value> {
        Ok(json!({ "fail": true, "reason": reason }))
    }
}
