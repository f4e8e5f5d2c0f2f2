//! Checks of the picture: the measured numbers against thresholds. All thresholds stand here.

use super::{Case, Check, CheckCode, Outcome};
use crate::kind::DocumentType;

/// Share of the card's frame outside the photo: from here some of it is missing, and from the second so much that it is
/// no whole card.
const CUT_OFF: (f32, f32) = (0.04, 0.10);
/// Pixels across the card.
const NARROW: f32 = 380.0;
/// Photo pixels from light to dark at the edge of a character.
const SOFT: f32 = 4.0;
/// Share of the card that is burnt out.
const GLARING: f32 = 0.04;
/// Median brightness, and the distance between paper and ink.
const DARK: f32 = 0.14;
const PALE: f32 = 0.18;
/// Mean saturation below which a picture has no colour.
const GREY: f32 = 0.035;
/// Strength of periodic patterns.
const PERIODIC: f32 = 0.5;

pub(super) fn checks(case: &Case<'_>) -> Vec<Check> {
    let quality = &case.page.quality;
    let measured = quality.card_width_px > 0.0;
    let check = |code, warns: bool| {
        let outcome = match (measured, warns) {
            (false, _) => Outcome::NotRun,
            (true, true) => Outcome::Warn,
            (true, false) => Outcome::Pass,
        };
        Check::new(code, outcome)
    };
    let complete = match quality.cut_off {
        _ if !measured => Outcome::NotRun,
        cut if cut >= CUT_OFF.1 => Outcome::Fail,
        cut if cut >= CUT_OFF.0 => Outcome::Warn,
        _ => Outcome::Pass,
    };
    let mut checks = vec![
        Check::new(CheckCode::CardComplete, complete),
        check(CheckCode::Resolution, quality.card_width_px < NARROW),
        check(CheckCode::Sharpness, quality.edge_width_px > SOFT),
        check(CheckCode::Glare, quality.glare > GLARING),
        check(CheckCode::Darkness, quality.brightness < DARK || quality.contrast < PALE),
    ];
    if case.document != DocumentType::Other {
        checks.push(check(CheckCode::Photocopy, quality.saturation < GREY));
        checks.push(check(CheckCode::Screen, quality.moire > PERIODIC));
    }
    checks
}
