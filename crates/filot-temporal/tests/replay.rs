//! Saved histories of real workflows, replayed without a server: a change of a workflow that running ones cannot follow
//! fails here. Put it behind `ctx.patched(…)`, or record anew with `make histories` when none is running anywhere.
#![expect(clippy::unwrap_used, reason = "in helpers of tests a panic is the way to fail")]

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use filot_temporal::{DocumentWorkflow, ReviewWorkflow};
use serde_json::Value;
use temporalio_client::WorkflowHistory;
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

fn histories() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

fn replayer() -> WorkflowReplayer {
    let options = WorkflowReplayerOptions::new();
    let options = options.register_workflow::<DocumentWorkflow>().unwrap();
    WorkflowReplayer::new(options.register_workflow::<ReviewWorkflow>().unwrap().build()).unwrap()
}

#[tokio::test]
async fn saved_histories_are_still_followed() {
    let histories = histories();
    assert!(histories.len() >= 8, "{:?}", histories.keys());
    let replayer = replayer();
    for (name, json) in histories {
        let history = WorkflowHistory::from_json(&json).unwrap();
        if let Err(error) = replayer.replay_workflow(history).await {
            panic!("{name}: {error}");
        }
    }
}

/// The test above can fail: a history in which another activity was ordered is not followed.
#[tokio::test]
async fn a_history_of_another_workflow_is_noticed() {
    let histories = histories();
    for (name, ordered, other) in [
        ("document-approved", "processDocument", "readDocument"),
        ("review-approved", "fetchExternalDecision", "syncWithBuli2"),
        ("document-reviewed", "kycReviewWorkflow", "otherWorkflow"),
    ] {
        let text = String::from_utf8(histories[name].clone()).unwrap();
        let changed = text.replace(ordered, other);
        assert_ne!(text, changed, "{name} orders no {ordered}");
        let history = WorkflowHistory::from_json(changed.as_bytes()).unwrap();
        let error = replayer().replay_workflow(history).await.expect_err(name);
        println!("{name}: {error}");
    }
}

/// Ids, words of closed lists, numbers and times: nothing else stands in histories.
#[test]
fn nothing_personal_stands_in_histories() {
    let mut seen = 0;
    for (name, json) in histories() {
        let history: Value = serde_json::from_slice(&json).unwrap();
        payloads(&history, &mut |payload| {
            seen += 1;
            leaves(payload, &mut |leaf| assert!(is_harmless(leaf), "{name}: {leaf}"));
        });
    }
    assert!(seen > 20, "{seen} payloads");
}

/// Calls `each` with the JSON inside of every payload.
fn payloads(value: &Value, each: &mut impl FnMut(&Value)) {
    match value {
        Value::Object(object) => match (object.get("metadata"), object.get("data")) {
            (Some(_), Some(data)) => {
                let bytes = BASE64_STANDARD.decode(data.as_str().unwrap()).unwrap();
                if !bytes.is_empty() {
                    each(&serde_json::from_slice(&bytes).unwrap());
                }
            }
            _ => object.values().for_each(|value| payloads(value, each)),
        },
        Value::Array(values) => values.iter().for_each(|value| payloads(value, each)),
        _ => {}
    }
}

fn leaves(value: &Value, each: &mut impl FnMut(&Value)) {
    match value {
        Value::Object(object) => object.values().for_each(|value| leaves(value, each)),
        Value::Array(values) => values.iter().for_each(|value| leaves(value, each)),
        leaf => each(leaf),
    }
}

fn is_harmless(leaf: &Value) -> bool {
    const WORDS: &[&str] = &[
        "approved",
        "rejected",
        "needs_review",
        "failed",
        "gone",
        "retake",
        "not_yet",
        "desk",
        "cpu",
        "gpu",
        "1.1.0",
    ];
    match leaf {
        Value::String(text) => {
            let is_ticket = text.strip_prefix("BULI2-").is_some_and(|rest| rest.parse::<u64>().is_ok());
            WORDS.contains(&text.as_str())
                || uuid::Uuid::parse_str(text).is_ok()
                || text.parse::<jiff::Timestamp>().is_ok()
                || is_ticket
        }
        _ => true,
    }
}
