//! What the writer of envelopes promises, seen through the types that a client reads with.

use super::*;
use crate::Envelope;
use proptest::prelude::*;
use serde_json::{Value, json};

fn meta() -> CallMeta<'static> {
    CallMeta {
        tool: Some("vm:click"),
        elapsed: Duration::from_nanos(1_930_400),
        resource_type: Some("vm"),
        session_id: None,
        trace_id: "0af7",
        temporary_session: false,
    }
}

fn write(reply: &Reply<'_>, meta: &CallMeta<'_>) -> String {
    let mut buf = Vec::new();
    write_envelope(&mut buf, reply, meta).unwrap();
    String::from_utf8(buf).unwrap()
}

#[test]
fn an_envelope_has_its_fields_in_the_order_of_the_contract() {
    let reply = Reply {
        data: br#"{"clicked":[1,2]}"#,
        ..Reply::default()
    };
    insta::assert_snapshot!(write(&reply, &meta()), @r#"{"code":0,"message":"success","data":{"clicked":[1,2]},"meta":{"tool":"vm:click","execution_time_ms":1.930,"resource_type":"vm","session_id":null,"trace_id":"0af7"}}"#);
}

#[test]
fn data_is_carried_to_the_byte() {
    let odd = r#"{"a" : 1.000, "a":1e2,"é":"\u00e9"}"#;
    let reply = Reply {
        data: odd.as_bytes(),
        ..Reply::default()
    };
    assert!(write(&reply, &meta()).contains(&format!("\"data\":{odd},\"meta\"")));
}

#[test]
fn a_tools_own_meta_wins_over_the_hosts() {
    let reply = Reply {
        meta: br#" {"trace_id":"own","provider":"x", "\u0074ool":"renamed"} "#,
        ..Reply::default()
    };
    let answer: Value = serde_json::from_str(&write(&reply, &meta())).unwrap();
    assert_eq!(
        answer["meta"],
        json!({"trace_id": "own", "provider": "x", "tool": "renamed",
               "execution_time_ms": 1.93, "resource_type": "vm", "session_id": null})
    );
}

#[test]
fn a_tool_that_sets_every_name_is_written_alone() {
    let own = br#"{"tool":1,"execution_time_ms":2,"resource_type":3,"session_id":4,"trace_id":5}"#;
    let reply = Reply {
        meta: own,
        ..Reply::default()
    };
    assert!(
        write(&reply, &meta()).ends_with(&format!("\"meta\":{}}}", str::from_utf8(own).unwrap()))
    );
}

#[test]
fn a_temporary_session_is_said_only_when_there_is_one() {
    let meta = CallMeta {
        temporary_session: true,
        ..meta()
    };
    let answer: Envelope = serde_json::from_str(&write(&Reply::default(), &meta)).unwrap();
    assert!(answer.meta.temporary_session);
}

#[test]
fn attachments_become_base64_entries_of_data() {
    let attachments = [
        Attachment {
            key: "image",
            bytes: b"\x89PNG",
        },
        Attachment {
            key: "a\"b",
            bytes: b"",
        },
    ];
    for data in [&br#"{"size":[1,2]}"#[..], b"{ }", b"{}", b"null", b""] {
        let reply = Reply {
            data,
            attachments: &attachments,
            ..Reply::default()
        };
        let answer: Envelope = serde_json::from_str(&write(&reply, &meta())).unwrap();
        assert_eq!(answer.data["image"], "iVBORw==", "for {data:?}");
        assert_eq!(answer.data["a\"b"], "", "for {data:?}");
    }
}

#[test]
fn what_does_not_fit_leaves_the_buffer_as_it_was() {
    let attachments = [Attachment {
        key: "image",
        bytes: b"x",
    }];
    let list = Reply {
        data: b"[1]",
        attachments: &attachments,
        ..Reply::default()
    };
    let bad_meta = |meta| Reply {
        meta,
        ..Reply::default()
    };
    for reply in [list, bad_meta(b"[]"), bad_meta(b"{"), bad_meta(b"{} {}")] {
        let mut buf = b"before".to_vec();
        write_envelope(&mut buf, &reply, &meta()).unwrap_err();
        assert_eq!(buf, b"before");
    }
}

#[test]
fn a_failure_without_words_says_what_its_code_means() {
    let reply = Reply {
        code: Code::TIMED_OUT,
        ..Reply::default()
    };
    let answer: Envelope = serde_json::from_str(&write(&reply, &meta())).unwrap();
    assert_eq!(
        (answer.code, answer.message.as_str()),
        (Code(2002), "timed out")
    );
    assert_eq!(answer.data, Value::Null);
}

proptest! {
    #[test]
    fn whatever_a_tool_says_the_answer_is_json_and_says_it(
        message in any::<String>(),
        key in any::<String>(),
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        own in prop::collection::btree_map("[a-z_]{1,12}|trace_id|tool", any::<i32>(), 0..4),
        micros in any::<u32>(),
    ) {
        let own_meta = serde_json::to_vec(&own).unwrap();
        let attachments = [Attachment { key: &key, bytes: &bytes }];
        let reply = Reply {
            message: Some(&message),
            attachments: &attachments,
            meta: &own_meta,
            ..Reply::default()
        };
        let meta = CallMeta { elapsed: Duration::from_micros(micros.into()), ..meta() };
        let answer: Value = serde_json::from_str(&write(&reply, &meta)).unwrap();
        prop_assert_eq!(answer["message"].as_str(), Some(message.as_str()));
        let decoded = STANDARD.decode(answer["data"][&key].as_str().unwrap()).unwrap();
        prop_assert_eq!(decoded, bytes);
        for (name, value) in &own {
            prop_assert_eq!(&answer["meta"][name], &json!(value));
        }
        if !own.contains_key("execution_time_ms") {
            let time = answer["meta"]["execution_time_ms"].as_f64().unwrap();
            prop_assert!((time - f64::from(micros) / 1000.0).abs() < 1e-6);
        }
    }
}
