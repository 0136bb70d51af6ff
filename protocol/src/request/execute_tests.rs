//! What the server promises about reading execute and batch requests.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn refusal(body: &str) -> String {
    ExecuteRequest::parse(body.as_bytes())
        .unwrap_err()
        .to_string()
}

#[test]
fn an_execute_borrows_everything_from_the_body() {
    let body =
        br#"{"worker_id":"w","action":"vm:click","params": {"x" : 1},"trace_id":"t","new":[1]}"#;
    let request = ExecuteRequest::parse(body).unwrap();
    assert!(matches!(request.worker_id, Some(Cow::Borrowed("w"))));
    assert!(matches!(request.action, Cow::Borrowed("vm:click")));
    assert!(matches!(request.trace_id, Some(Cow::Borrowed("t"))));
    assert_eq!(request.params.unwrap().get(), r#"{"x" : 1}"#);
}

#[test]
fn escaped_text_is_read_all_the_same() {
    let request = ExecuteRequest::parse(br#"{"worker_id":"\u0077","action":"a\tb"}"#).unwrap();
    assert_eq!(request.worker_id.as_deref(), Some("w"));
    assert_eq!(request.action, "a\tb");
}

#[test]
fn null_counts_as_absent() {
    let body = br#"{"worker_id":null,"action":"a","params":null,"timeout":null,"trace_id":null}"#;
    let request = ExecuteRequest::parse(body).unwrap();
    assert!(request.worker_id.is_none() && request.params.is_none());
    assert!(request.timeout.is_none() && request.trace_id.is_none());

    let body =
        br#"{"actions":[{"action":"a","params":null}],"parallel":null,"stop_on_error":null}"#;
    let batch = BatchRequest::parse(body).unwrap();
    assert!(!batch.parallel && batch.stop_on_error);
}

#[test]
fn a_refusal_names_the_field_and_what_was_expected() {
    let deep = format!(
        r#"{{"action":"a","params":{}{}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    let refusals = [
        "",
        "[1]",
        "{",
        "nul",
        r#"{"worker_id":"w"}"#,
        r#"{"action":5}"#,
        r#"{"action":"a","timeout":"soon"}"#,
        r#"{"action":"a","timeout":0}"#,
        r#"{"action":"a","params":NaN}"#,
        r#"{"action":"a","action":"b"}"#,
        r#"{"action":"a"} x"#,
        &deep,
    ]
    .map(refusal)
    .join("\n");
    insta::assert_snapshot!(refusals);
}

#[test]
fn a_refusal_of_a_batch_names_the_action() {
    let error = BatchRequest::parse(br#"{"actions":[{"action":"a"},{"action":"b","timeout":-1}]}"#)
        .unwrap_err();
    assert_eq!(error.field(), Some("actions[1].timeout"));
    let error = BatchRequest::parse(br#"{"actions":[{"params":{}}]}"#).unwrap_err();
    assert!(error.to_string().contains("actions[0]"), "{error}");
    assert!(
        error.to_string().contains("missing field `action`"),
        "{error}"
    );
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    for body in [
        &b"{\"action\":\"\xff\"}"[..],
        b"{\"action\":\"a\",\"params\":{\"x\":\"\xff\"}}",
        b"{\"action\":\"a\",\"junk\":\"\xff\"}",
        b"{\"action\":\"a\",\"junk\":{\"\xff\":1}}",
        b"\xff\xfe",
    ] {
        let error = ExecuteRequest::parse(body).unwrap_err().to_string();
        assert!(error.contains("not valid JSON"), "{error}");
    }
}

#[test]
fn timeouts_may_have_fractions() {
    let request = ExecuteRequest::parse(br#"{"action":"a","timeout":1.5}"#).unwrap();
    assert_eq!(
        request.timeout.unwrap().duration(),
        Duration::from_millis(1500)
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ExecuteRequest::parse(&body);
        let _ = BatchRequest::parse(&body);
    }

    #[test]
    fn what_a_client_writes_is_what_the_server_reads(
        worker in any::<String>(),
        action in any::<String>(),
        timeout in prop::option::of((1..1_000_000_u32).prop_map(|ms| f64::from(ms) / 1000.0)),
    ) {
        let written = serde_json::to_vec(&ExecuteRequest {
            worker_id: Some(Cow::Borrowed(&worker)),
            action: Cow::Borrowed(&action),
            params: None,
            timeout: timeout.map(|t| Seconds::new(t).unwrap()),
            trace_id: None,
        }).unwrap();
        let read = ExecuteRequest::parse(&written).unwrap();
        prop_assert_eq!(read.worker_id.as_deref(), Some(worker.as_str()));
        prop_assert_eq!(&read.action, &action);
        prop_assert_eq!(read.timeout.map(Seconds::as_f64), timeout);
    }
}
