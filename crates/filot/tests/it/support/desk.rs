//! Officers, and documents that need one.

use std::collections::BTreeMap;

use filot::app::App;
use filot::card_reader::{CardReader, CardReading, File};
use filot::document::{DocumentId, ReviewId};
use filot::reader::FileError;
use filot::store::{NewUser, Officer, Role};
use filot_cards::assess::{Recorded, reassess};
use filot_cards::decide::{Decision, Policy};
use filot_cards::kind::DeclaredType;
use filot_ocr::image::{Limits, Photo};
use jiff::civil::Date;
use serde_json::{Value, json};

use super::TestApp;
use super::cards::{Script, card};

/// What was read of an invented person's card: the sex is wrong, the name unsure.
pub(crate) fn recorded() -> Value {
    let field = |value: &str, confidence: f32, row: f32| {
        let (x0, y0, x1, y1) = (100.0, 100.0 + 20.0 * row, 300.0, 116.0 + 20.0 * row);
        let corner = |x: f32, y: f32| json!({ "x": x, "y": y });
        json!({ "value": value, "original": value, "confidence": confidence, "source": "first",
            "box": [corner(x0, y0), corner(x1, y0), corner(x1, y1), corner(x0, y1)] })
    };
    let check = |code: &str| json!({ "code": code, "outcome": "pass" });
    json!({
        "type": "KTP",
        "fields": {
            "nik": field("3171014501900003", 0.98, 0.0),
            "name": field("SITI CONTOH", 0.62, 1.0),
            "birthPlace": field("JAKARTA", 0.97, 2.0),
            "birthDate": field("1990-01-05", 0.98, 3.0),
            "gender": field("LAKI-LAKI", 0.91, 4.0),
            "address": field("JL MELATI NO 1", 0.95, 5.0),
            "rtRw": field("001/002", 0.97, 6.0),
            "village": field("GAMBIR", 0.97, 7.0),
            "district": field("GAMBIR", 0.97, 8.0),
            "religion": field("ISLAM", 0.99, 9.0),
            "maritalStatus": field("KAWIN", 0.99, 10.0),
            "occupation": field("KARYAWAN SWASTA", 0.97, 11.0),
            "nationality": field("WNI", 0.99, 12.0),
            "validUntil": field("SEUMUR HIDUP", 0.99, 13.0),
            "province": field("DKI JAKARTA", 0.98, 14.0),
            "regency": field("KOTA JAKARTA PUSAT", 0.97, 15.0),
        },
        "checks": [check("DOCUMENT_TYPE"), check("OVERPRINT"), check("SECOND_READING")],
        "quality": { "cardWidthPx": 800.0, "edgeWidthPx": 1.5, "glare": 0.0, "brightness": 0.6, "contrast": 0.6,
            "saturation": 0.3, "hue": 200.0, "moire": 0.1, "cutOff": 0.0 },
        "framing": "card",
    })
}

/// The same without a slip: nothing stands against approving it.
pub(crate) fn sound() -> Value {
    let mut known = recorded();
    known["fields"]["gender"]["value"] = json!("PEREMPUAN");
    known["fields"]["name"]["confidence"] = json!(0.97);
    known
}

/// A reader that decides as scripted documents say, and reports [`recorded`] with it.
pub(crate) fn assessed() -> CardReader {
    reporting(recorded())
}

/// A reader that decides as scripted documents say, and reports `known` with it.
pub(crate) fn reporting(known: Value) -> CardReader {
    CardReader::new("assessed", report(known))
}

/// What it does with a file.
pub(crate) fn report(
    known: Value,
) -> impl Fn(File<'_>, DeclaredType, Date) -> Result<CardReading, FileError> + Send + Sync + 'static {
    move |file, _, today| {
        let photo = Photo::decode(file.bytes, &Limits::default())?;
        let script = photo.pixels.get_pixel(1, 0).0[0];
        let (decision, score) = match script {
            s if s == Script::Approve as u8 => (Decision::AutoApprove, 95),
            s if s == Script::Reject as u8 => (Decision::AutoReject, 10),
            _ => (Decision::NeedsReview, 60),
        };
        let known: Recorded = serde_json::from_value(known.clone()).unwrap();
        let assessment = reassess(&known, &BTreeMap::new(), &Policy::default(), today);
        let mut result = serde_json::to_value(&assessment).unwrap();
        result["photo"] = json!({ "width": photo.width, "height": photo.height });
        Ok(CardReading {
            decision,
            score,
            text: String::new(),
            result: serde_json::value::to_raw_value(&result).unwrap(),
        })
    }
}

pub(crate) async fn officer(app: &App, name: &str, role: Role) -> Officer {
    let new = NewUser {
        email: Some(format!("{}@example.com", uuid::Uuid::now_v7())),
        email_verified: true,
        password_hash: None,
        provider: None,
        role,
        full_name: Some(name.to_owned()),
    };
    Officer { id: app.store.create_user(new).await.unwrap().id, role }
}

/// The officer opens the picture of the review that they have.
pub(crate) async fn open_picture(app: &App, id: ReviewId, who: &Officer) {
    assert!(app.store.picture_seen(id, who).await.unwrap(), "{id} is not held");
}

impl TestApp {
    /// A document that waits for an officer, and its review.
    pub(crate) async fn review(&self, number: u32, script: Script) -> (DocumentId, ReviewId) {
        let id = self.upload(card(number, script, 0)).await.unwrap().id;
        self.finished(id).await;
        let review = match self.app.store.review_of_document(id).await.unwrap() {
            Some(review) => review,
            None => self.app.store.escalate(id, &filot::store::Actor::System).await.unwrap(),
        };
        (id, review.id)
    }
}
