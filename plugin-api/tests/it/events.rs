//! What a running call tells: progress, parts of its result, how much time it has.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sandbox_plugin_api::{
    backend::{Backend, Begun, Kind, Meta, NoConfig, Tool, ToolSpec},
    host::Request,
    prelude::*,
    schema::closed_schema_of,
    testkit::{Event, Recorder, TestKit, success, wait},
};

use crate::support::{kit, lock};

#[derive(Default)]
struct Teller;

#[backend(name = "teller", description = "Tells how it is getting on.")]
impl Teller {
    #[tool]
    async fn count(&self, to: u32, context: &CallContext) -> Result<u32> {
        for done in 1..=to {
            context.progress(done.into(), to.into(), &format!("é {done}"));
            context.output(&format!("line {done}\n"));
            tokio::task::yield_now().await;
        }
        Ok(to)
    }

    #[tool(blocking)]
    fn block(&self, context: &CallContext) -> Result<()> {
        context.output("from a thread");
        Ok(())
    }

    #[tool]
    async fn hurry(&self, context: &CallContext) -> Result<Value> {
        Ok(json!({
            "left": context.time_left().map(|left| left.as_secs_f64()),
            "deadline": context.deadline().is_some(),
            "worker": context.worker(),
            "session": context.session_id(),
            "trace": context.trace_id(),
            "tool": context.tool(),
            "cancelled": context.is_cancelled(),
        }))
    }
}

fn teller() -> TestKit<Teller> {
    kit(json!({}))
}

#[test]
fn events_come_in_order_and_before_the_end() {
    let kit = teller();
    let recorder = Arc::new(Recorder::default());
    let pending = kit.begin(
        "teller:count",
        &json!({ "to": 3 }),
        Request::default(),
        Some(recorder.clone()),
    );
    assert_eq!(success(&wait(pending)).unwrap().data, 3);
    let expected: Vec<Event> = (1..=3)
        .flat_map(|done| {
            [
                Event::Progress(f64::from(done), 3.0, format!("é {done}")),
                Event::Output(format!("line {done}\n")),
            ]
        })
        .collect();
    assert_eq!(recorder.events(), expected);
}

#[test]
fn blocking_tools_tell_too() {
    let kit = teller();
    let recorder = Arc::new(Recorder::default());
    let pending = kit.begin(
        "teller:block",
        &json!({}),
        Request::default(),
        Some(recorder.clone()),
    );
    assert!(wait(pending).is_success());
    assert_eq!(
        recorder.events(),
        [Event::Output("from a thread".to_owned())]
    );
}

#[test]
fn nobody_has_to_listen() {
    assert_eq!(
        teller().call("teller:count", json!({ "to": 2 })).unwrap(),
        2
    );
}

#[test]
fn the_context_says_who_and_until_when() {
    let kit = teller();
    let request = Request {
        worker: "ann",
        session_id: "teller_ann_001_00000000",
        trace: "4bf92f3577b34da6a3ce929d0e0e4736",
        timeout: Some(Duration::from_mins(1)),
        ..Request::default()
    };
    let data = success(&wait(kit.begin("teller:hurry", &json!({}), request, None)))
        .unwrap()
        .data;
    let left = data["left"].as_f64().unwrap();
    assert!(left > 0.0 && left <= 60.0, "{left}");
    assert_eq!(data["worker"], "ann");
    assert_eq!(data["session"], "teller_ann_001_00000000");
    assert_eq!(data["trace"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(
        (&data["tool"], &data["cancelled"]),
        (&json!("teller:hurry"), &json!(false))
    );
}

#[test]
fn without_a_limit_there_is_no_deadline() {
    let data = teller().call("teller:hurry", json!({})).unwrap();
    assert_eq!(
        (&data["left"], &data["deadline"]),
        (&json!(null), &json!(false))
    );
}

/// A backend written by hand, which keeps what it is handed.
struct Keeps;

/// The context of a call that is over.
static KEPT: Mutex<Option<CallContext>> = Mutex::new(None);

impl Backend for Keeps {
    type Config = NoConfig;
    type SessionConfig = NoConfig;
    type Session = ();

    const META: Meta = Meta {
        class: "Keeps",
        name: "keeps",
        description: "",
        version: "1",
        kind: Kind::Shared,
        manifest: "{}",
    };

    fn create(_: NoConfig, _: &BackendEnv) -> Result<Self> {
        Ok(Self)
    }

    async fn warmup(&self, _: &CallContext) -> Result<()> {
        Ok(())
    }

    async fn shutdown(&self, _: &CallContext) -> Result<()> {
        Ok(())
    }

    async fn initialize(&self, _: &SessionInfo, _: &CallContext, _: NoConfig) -> Result<()> {
        Ok(())
    }

    async fn cleanup(&self, (): &(), _: &SessionInfo, _: &CallContext) -> Result<()> {
        Ok(())
    }

    fn tools() -> Vec<Tool<Self>> {
        let spec = ToolSpec {
            name: "keeps:context",
            ..ToolSpec::default()
        };
        vec![Tool {
            spec,
            input: closed_schema_of::<NoConfig>,
            output: || None,
            begin: |call, _| {
                call.context.output("in time");
                *lock(&KEPT) = Some(call.context);
                Begun::ready(|| Ok(Reply::default()))
            },
        }]
    }
}

#[test]
fn a_context_that_was_kept_tells_nothing_after_the_end() {
    let kit = kit::<Keeps>(json!({}));
    let recorder = Arc::new(Recorder::default());
    let request = Request::default();
    let mut pending = kit.begin("keeps:context", &json!({}), request, Some(recorder.clone()));
    assert!(pending.try_take().unwrap().is_success());
    let kept = lock(&KEPT).take().unwrap();
    // The operation is still there, so that this is told if it is told at all.
    kept.output("late");
    kept.progress(1.0, 1.0, "late");
    assert_eq!(recorder.events(), [Event::Output("in time".to_owned())]);
    drop(pending);
    kept.output("too late");
}
