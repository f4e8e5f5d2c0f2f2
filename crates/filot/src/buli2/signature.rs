//! Signatures of what BULI2 sends.
//!
//! The signature is `sha256=` and the HMAC-SHA256, in hexadecimal, over timestamp, event id and the body's bytes as they
//! arrive, joined with dots. The old form has neither timestamp nor event id and signs the body as it looks when it is
//! parsed and written again without blanks; it stands bare in a header of its own.

use aws_lc_rs::hmac;
use jiff::Timestamp;

use crate::keys::hex;

/// Seconds since 1970 when the event was sent.
pub const TIMESTAMP: &str = "x-filot-timestamp";
/// Names the event; repetitions have the same.
pub const EVENT_ID: &str = "x-filot-event-id";
pub const SIGNATURE: &str = "x-filot-signature";
/// The signature of the old form.
pub const LEGACY_SIGNATURE: &str = "x-buli2-signature";

/// Longest id of an event, in characters.
const MAX_EVENT_ID: usize = 128;

/// Why an event is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    #[error("send X-Filot-Timestamp, X-Filot-Event-Id and X-Filot-Signature")]
    Missing,
    #[error(
        "X-Filot-Timestamp must be the seconds since 1970, X-Filot-Event-Id 1 to 128 letters, digits, - and _"
    )]
    Malformed,
    #[error("X-Filot-Timestamp is too far from the present; sign the event anew and send it again")]
    OutOfWindow,
    #[error("the signature does not fit timestamp, event id and body")]
    Wrong,
}

/// The signature of an event, as the header carries it.
pub fn sign(secret: &str, timestamp: &str, event_id: &str, body: &[u8]) -> String {
    format!("sha256={}", hex(hmac::sign(&key(secret), &message(timestamp, event_id, body)).as_ref()))
}

/// Checks that an event was signed with `secret`, in constant time, and tells whether within `window_s` seconds of `now`:
/// one that was not may only be heard again.
///
/// # Errors
/// When it is not to be believed.
pub fn verify(
    secret: &str,
    [timestamp, event_id, signature]: [&str; 3],
    body: &[u8],
    now: Timestamp,
    window_s: u64,
) -> Result<bool, Forged> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_name = (1..=MAX_EVENT_ID).contains(&event_id.len()) && event_id.bytes().all(is_plain);
    // An id without dots: the parts of the message cannot be shifted into each other.
    // Digits only: `parse` alone would also take a sign, and two spellings of one time.
    let is_count = (1..=12).contains(&timestamp.len()) && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let Some(sent) = timestamp.parse::<i64>().ok().filter(|_| is_name && is_count) else {
        return Err(Forged::Malformed);
    };
    let tag = signature.strip_prefix("sha256=").and_then(unhex).ok_or(Forged::Wrong)?;
    hmac::verify(&key(secret), &message(timestamp, event_id, body), &tag).map_err(|_| Forged::Wrong)?;
    Ok(now.as_second().abs_diff(sent) <= window_s)
}

/// Checks a signature of the old form.
///
/// # Errors
/// When it does not fit, or the body is not JSON.
pub fn verify_legacy(secret: &str, signature: &str, body: &[u8]) -> Result<(), Forged> {
    let tag = unhex(signature).ok_or(Forged::Wrong)?;
    let compact = compact(body).ok_or(Forged::Wrong)?;
    hmac::verify(&key(secret), &compact, &tag).map_err(|_| Forged::Wrong)
}

/// The signature of the old form.
pub fn sign_legacy(secret: &str, body: &[u8]) -> Option<String> {
    Some(hex(hmac::sign(&key(secret), &compact(body)?).as_ref()))
}

/// The body parsed and written again without blanks, its keys in the order of their arrival.
fn compact(body: &[u8]) -> Option<Vec<u8>> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let mut written = Vec::with_capacity(body.len());
    serde_transcode::transcode(&mut reader, &mut serde_json::Serializer::new(&mut written)).ok()?;
    reader.end().ok()?;
    Some(written)
}

fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

fn message(timestamp: &str, event_id: &str, body: &[u8]) -> Vec<u8> {
    [timestamp.as_bytes(), b".", event_id.as_bytes(), b".", body].concat()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "b2xJ7vQw9Zt4Lm1Rk8Yc5Nd0Hs3Gf6Pa";

    fn now() -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap()
    }

    fn check(timestamp: &str, id: &str, signature: &str, body: &[u8]) -> Result<bool, Forged> {
        verify(SECRET, [timestamp, id, signature], body, now(), 300)
    }

    #[test]
    fn the_signature_is_the_documented_one() {
        // `printf '1790000000.e-1.{}' | openssl dgst -sha256 -hmac KEY`
        assert_eq!(
            sign("key", "1790000000", "e-1", b"{}"),
            "sha256=4dfe08403fe5d3c28a0d450de6d66a00b9f33af01a3be9d2f2804e78a6217ddc"
        );
        assert_eq!(
            sign_legacy("key", br#"{ "b" : 1, "a":"\u00e9" }"#).unwrap(),
            "ab87f7a5e4b1073665ae1b76598d39f4ac907354545a5d9a28844acc3096118c"
        );
    }

    #[test]
    fn an_event_is_believed_as_it_was_signed_and_no_other() {
        let signed = sign(SECRET, "1790000000", "e-1", b"{}");
        assert_eq!(check("1790000000", "e-1", &signed, b"{}"), Ok(true));
        assert_eq!(check("1790000000", "e-1", &signed, b"{} "), Err(Forged::Wrong));
        assert_eq!(check("1790000000", "e-2", &signed, b"{}"), Err(Forged::Wrong));
        assert_eq!(check("1790000001", "e-1", &signed, b"{}"), Err(Forged::Wrong));
        assert_eq!(check("1790000000", "e-1", &signed[7..], b"{}"), Err(Forged::Wrong));
        assert_eq!(check("1790000000", "e-1", &signed.to_uppercase(), b"{}"), Err(Forged::Wrong));
        let shifted = sign(SECRET, "1790000000", "e", b"x.{}");
        assert_eq!(check("1790000000", "e.x", &shifted, b"{}"), Err(Forged::Malformed));
        assert_eq!(check("+1790000000", "e-1", &signed, b"{}"), Err(Forged::Malformed));
        assert_eq!(check("1790000000", "", &signed, b"{}"), Err(Forged::Malformed));
        assert_eq!(check("1790000000", "legacy:1", &signed, b"{}"), Err(Forged::Malformed));
    }

    #[test]
    fn the_window_has_two_ends() {
        for (second, fits) in
            [(1_789_999_700, true), (1_789_999_699, false), (1_790_000_300, true), (1_790_000_301, false)]
        {
            let timestamp = i64::to_string(&second);
            let signed = sign(SECRET, &timestamp, "e", b"{}");
            assert_eq!(check(&timestamp, "e", &signed, b"{}"), Ok(fits), "{second}");
        }
    }

    #[test]
    fn the_old_form_signs_the_body_without_its_blanks() {
        let signed = sign_legacy(SECRET, br#"{"decision":"approved","taskId":"T-1"}"#).unwrap();
        let spaced = br#"{ "decision": "approved",  "taskId": "T-1" }"#;
        assert_eq!(verify_legacy(SECRET, &signed, spaced), Ok(()));
        let reordered = br#"{"taskId":"T-1","decision":"approved"}"#;
        assert_eq!(verify_legacy(SECRET, &signed, reordered), Err(Forged::Wrong));
        assert_eq!(verify_legacy(SECRET, &format!("sha256={signed}"), spaced), Err(Forged::Wrong));
        assert_eq!(verify_legacy(SECRET, &signed, b"not json"), Err(Forged::Wrong));
    }
}
