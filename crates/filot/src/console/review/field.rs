//! One field of a review: what was read, what an officer said, where it stands.

use filot_cards::checks::{Check, CheckCode, Outcome};
use filot_cards::field::{Field, FieldKey, Source};

use super::super::language::Language;
use super::super::viewer::{self, Look, Picture, Pictures, Region, VEILED};
use crate::desk::Case;

pub(super) struct FieldView {
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    pub(super) value: String,
    /// Percent.
    pub(super) confidence: Option<u8>,
    /// What was read, where it differs from the value.
    pub(super) original: Option<String>,
    /// What stood there before the officer's correction.
    pub(super) before: Option<String>,
    pub(super) confirmed: bool,
    /// What was expected instead of what was typed.
    pub(super) refused: Option<&'static str>,
    /// Somebody has said what stands there; the reader's confidence no longer counts.
    pub(super) checked: bool,
    pub(super) missing: bool,
    /// Entries of a closed list, between bars, for the script.
    pub(super) words: String,
    pub(super) findings: Vec<&'static str>,
    /// `failed`, `weak` or `sure`.
    pub(super) class: &'static str,
    /// The places in both pictures, for the script.
    pub(super) original_place: String,
    pub(super) straightened_place: String,
    pub(super) crop: Option<Crop>,
    pub(super) to_zoom: String,
}

pub(super) struct Crop {
    pub(super) view_box: String,
    // The same in parts: an inner picture of just this size cuts off what lies around it.
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) w: f32,
    pub(super) h: f32,
    pub(super) href: String,
    /// The real one, where this is not.
    pub(super) clear: String,
    pub(super) width: f32,
    pub(super) height: f32,
}

pub(super) fn href(id: &str, picture: &Picture) -> String {
    format!("/console/reviews/{id}/{}.jpg", picture.name)
}

/// What a page shows until the officer wants to see it.
pub(super) fn veiled(id: &str, picture: &Picture, look: &Look) -> String {
    let real = href(id, picture);
    if look.reveal { real } else { format!("{real}?{VEILED}=1") }
}

pub(super) fn view(
    language: Language,
    key: FieldKey,
    case: &Case,
    checks: &[Check],
    pictures: &Pictures,
    id: &str,
    look: &Look,
) -> FieldView {
    let recorded = case.recorded.as_ref().and_then(|recorded| recorded.fields.get(&key));
    let present: Option<&Field> = match &case.corrected {
        Some(assessment) => assessment.fields.get(&key),
        None => recorded,
    };
    let correction = case.corrections.iter().rev().find(|correction| correction.field == key);
    let read = recorded.map(|field| field.value.clone());
    let changed = correction.is_some_and(|correction| read.as_deref().unwrap_or_default() != correction.new);
    let findings: Vec<&'static str> = checks
        .iter()
        .filter(|check| check.outcome != Outcome::Pass && check.fields.contains(&key))
        .map(|check| language.sentence(check.officer))
        .collect();
    let read_only = present.filter(|field| field.source != Source::Person);
    let confidence = read_only.map(|field| (field.confidence * 100.0).round().clamp(0.0, 100.0) as u8);
    // What contradicts something is surely wrong somewhere; what is only unsure may well be right.
    let contradicted = checks.iter().any(|check| {
        check.outcome != Outcome::Pass
            && check.fields.contains(&key)
            && check.code != CheckCode::FieldConfidence
    });
    let class = match confidence {
        _ if contradicted => "failed",
        Some(percent) if percent < 80 || !findings.is_empty() => "weak",
        _ => "sure",
    };
    let (photo, straight) = recorded.map_or((None, None), |field| pictures.places(&field.quad));
    let text = |region: &Option<Region>| region.map(|region| region.text()).unwrap_or_default();
    // A straightened crop is easier to read, where there is one.
    let crop = straight.zip(pictures.straightened.as_ref()).or(photo.map(|o| (o, &pictures.original)));
    let before = changed.then(|| read.unwrap_or_default());
    // What was read is told once.
    let original = present.map(|field| &field.original).filter(|&original| {
        !original.is_empty()
            && present.is_some_and(|f| f.value != *original)
            && before.as_ref() != Some(original)
    });
    let original = original.cloned();
    FieldView {
        key: key.as_str(),
        label: language.field(key),
        value: present.map(|field| field.value.clone()).unwrap_or_default(),
        confidence,
        original,
        before,
        confirmed: correction.is_some() && !changed,
        refused: None,
        checked: correction.is_some(),
        missing: present.is_none(),
        words: key.vocabulary().join("|"),
        findings,
        class,
        original_place: text(&photo),
        straightened_place: text(&straight),
        crop: crop.map(|(region, picture)| (viewer::crop(region), picture)).map(|(region, picture)| Crop {
            view_box: region.text(),
            x: region.x,
            y: region.y,
            w: region.width,
            h: region.height,
            href: veiled(id, picture, look),
            clear: href(id, picture),
            width: picture.width,
            height: picture.height,
        }),
        to_zoom: Look { field: Some(key.as_str().to_owned()), ..look.clone() }.query(),
    }
}
