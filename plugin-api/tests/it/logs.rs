//! Logs: forwarded to the host with worker, session, trace and tool, at the level of the moment.

use sandbox_plugin_api::{
    host::Request,
    prelude::*,
    testkit::{TestKit, wait},
};
use tracing::Instrument;

use crate::support::{Record, kit, records, set_level};

#[derive(Default)]
struct Speaker;

#[backend(name = "speaker", description = "Logs.")]
impl Speaker {
    #[tool]
    async fn speak(&self) -> Result<()> {
        let outer = tracing::info_span!("outer", step = 1, colour = "red");
        async {
            tokio::task::yield_now().await;
            tracing::info!(colour = "blue", count = 3, fine = true, "spoken in a tool");
        }
        .instrument(outer)
        .await;
        Ok(())
    }

    #[tool(inline)]
    fn speak_inline(&self) -> Result<()> {
        tracing::warn!("spoken inline");
        Ok(())
    }

    #[tool(blocking)]
    fn speak_blocking(&self) -> Result<()> {
        tracing::error!("spoken on a thread");
        Ok(())
    }

    #[tool]
    async fn speak_elsewhere(&self) -> Result<()> {
        let task = async { tracing::info!("spoken in a task") };
        tokio::spawn(task.instrument(tracing::info_span!("task"))).await?;
        Ok(())
    }

    #[tool]
    async fn speak_of_what_speaks(&self) -> Result<()> {
        let field = tracing::field::Empty;
        let span = tracing::info_span!("span", first = field, second = field);
        let _inside = span.enter();
        span.record("first", tracing::field::debug(Speaks));
        span.record("second", 2);
        tracing::info!("spoken after what speaks");
        Ok(())
    }

    #[tool]
    async fn whisper(&self) -> Result<bool> {
        tracing::debug!("whispered");
        Ok(tracing::enabled!(tracing::Level::DEBUG))
    }
}

/// Logs when it is shown.
struct Speaks;

impl std::fmt::Debug for Speaks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        tracing::info!("spoken while it is shown");
        f.write_str("shown")
    }
}

fn call(kit: &TestKit<Speaker>, tool: &str) {
    let request = Request {
        worker: "ann",
        session_id: "s1",
        trace: "t1",
        ..Request::default()
    };
    let answer = wait(kit.begin(tool, &json!({}), request, None));
    assert!(answer.is_success());
}

fn only(message: &str) -> Record {
    let mut records = records(message);
    assert_eq!(records.len(), 1, "{message}");
    records.remove(0)
}

fn speaker() -> TestKit<Speaker> {
    kit(json!({}))
}

#[test]
fn a_record_says_what_where_and_for_whom() {
    call(&speaker(), "speaker:speak");
    let record = only("spoken in a tool");
    assert_eq!((record.level, record.target.as_str()), (3, "it::logs"));
    let fields: Value = serde_json::from_str(&record.fields).unwrap();
    assert_eq!(
        fields,
        json!({ "colour": "blue", "step": 1, "count": 3, "fine": true })
    );
    assert_eq!(
        (record.worker.as_str(), record.session.as_str()),
        ("ann", "s1")
    );
    assert_eq!(
        (record.trace.as_str(), record.tool.as_str()),
        ("t1", "speaker:speak")
    );
}

#[test]
fn every_mode_logs_for_its_worker() {
    let kit = speaker();
    for (tool, message, level) in [
        ("speaker:speak_inline", "spoken inline", 2),
        ("speaker:speak_blocking", "spoken on a thread", 1),
        ("speaker:speak_elsewhere", "spoken in a task", 3),
    ] {
        call(&kit, tool);
        let record = only(message);
        assert_eq!(
            (record.level, record.worker.as_str()),
            (level, "ann"),
            "{message}"
        );
        assert_eq!(record.tool, tool);
    }
}

#[test]
fn a_level_changed_at_run_time_takes_effect() {
    let kit = speaker();
    let whisper = || kit.call("speaker:whisper", json!({})).unwrap() == true;
    assert!(!whisper());
    assert!(records("whispered").is_empty());
    set_level(4);
    assert!(whisper());
    assert_eq!(records("whispered").len(), 1);
    set_level(3);
    assert!(!whisper());
    assert_eq!(records("whispered").len(), 1);
}

#[test]
fn a_value_may_log_while_it_is_recorded() {
    call(&speaker(), "speaker:speak_of_what_speaks");
    only("spoken while it is shown");
    let fields: Value = serde_json::from_str(&only("spoken after what speaks").fields).unwrap();
    assert_eq!(fields, json!({ "first": "shown", "second": 2 }));
}
