//! What is sent to BULI2 and what comes back: the form that its other clients use.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::config::Service;
use crate::document::{CardType, Document, DocumentId, ReviewId, UserId};
use crate::store::Review;

/// Longest ticket that is kept, in characters.
pub(crate) const MAX_TICKET: usize = 255;

/// Where BULI2 shall send its answers.
#[derive(Clone, Debug)]
pub(super) struct CallbackUrl {
    base: String,
    /// The old form has an address for each review.
    one_each: bool,
}

impl CallbackUrl {
    pub(super) fn new(config: &Service) -> Self {
        let base = match &config.buli2.callback_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("{}/internal/reviews", config.public_url()),
        };
        Self { base, one_each: config.buli2.legacy_signature }
    }

    fn of(&self, review: ReviewId) -> String {
        if self.one_each { format!("{}/{review}/callback", self.base) } else { self.base.clone() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    review_id: ReviewId,
    document_id: DocumentId,
    user_id: UserId,
    document_type: CardType,
    parsed_data: Map<String, Value>,
    /// Null when the card could not be read.
    ai_score: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ocr_text: Option<&'a str>,
    correlation_id: String,
    callback_url: String,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    r2_key: Option<&'a str>,
    submitted_at: String,
}

/// The body of a request. Each time the same for the same review, so that a repetition is one.
pub(super) fn request(
    review: &Review,
    document: &Document,
    callback: &CallbackUrl,
    shares_files: bool,
) -> Vec<u8> {
    let request = Request {
        review_id: review.id,
        document_id: document.id,
        user_id: document.user_id,
        document_type: document.card_type,
        parsed_data: parsed_data(document.result.as_deref()),
        ai_score: document.score,
        ocr_text: document.ocr_text.as_deref(),
        correlation_id: format!("esc-{}-{}", document.id, review.created_at.as_millisecond()),
        callback_url: callback.of(review.id),
        metadata: Metadata {
            r2_key: shares_files.then_some(document.blob_key.as_str()),
            submitted_at: format!("{:.3}", document.created_at),
        },
    };
    // Texts, numbers and ids always have a JSON form.
    serde_json::to_vec(&request).unwrap_or_default()
}

/// The fields that were read, each as a plain text; one that was not read is absent.
fn parsed_data(result: Option<&RawValue>) -> Map<String, Value> {
    #[derive(Deserialize)]
    struct Stored {
        #[serde(default)]
        fields: Map<String, Value>,
    }
    let stored = result.and_then(|json| serde_json::from_str::<Stored>(json.get()).ok());
    let fields = stored.map(|stored| stored.fields).unwrap_or_default();
    fields.into_iter().filter_map(|(key, field)| Some((key, field.get("value")?.clone()))).collect()
}

/// The ticket that a reply names.
pub(super) fn ticket(reply: &[u8]) -> Option<String> {
    let reply: Map<String, Value> = serde_json::from_slice(reply).ok()?;
    ["taskId", "ticketId"].iter().find_map(|name| {
        let ticket = match reply.get(*name)? {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        ((1..=MAX_TICKET).contains(&ticket.chars().count())).then_some(ticket)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_taken_from_the_reply_or_not_at_all() {
        for (reply, expected) in [
            (r#"{"taskId":"T-1","status":"queued"}"#, Some("T-1")),
            (r#"{"ticketId":"T-2"}"#, Some("T-2")),
            (r#"{"taskId":"","ticketId":"T-3"}"#, Some("T-3")),
            (r#"{"taskId":17}"#, Some("17")),
            (r#"{"status":"accepted"}"#, None),
            (r#"{"taskId":null}"#, None),
            (r#"["T-1"]"#, None),
            ("", None),
            ("<html>", None),
        ] {
            assert_eq!(ticket(reply.as_bytes()).as_deref(), expected, "{reply}");
        }
        assert_eq!(ticket(format!(r#"{{"taskId":"{}"}}"#, "x".repeat(256)).as_bytes()), None);
    }

    #[test]
    fn fields_are_sent_as_plain_texts() {
        let result =
            r#"{"fields":{"nik":{"value":"1","confidence":0.9},"name":{"value":"BUDI"}},"score":60}"#;
        let raw = RawValue::from_string(result.to_owned()).unwrap();
        let sent = serde_json::to_string(&parsed_data(Some(&raw))).unwrap();
        assert_eq!(sent, r#"{"name":"BUDI","nik":"1"}"#);
        assert!(parsed_data(None).is_empty());
    }
}
