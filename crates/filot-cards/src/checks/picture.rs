//! Checks of the picture: the measured numbers against thresholds. All thresholds stand here.

use filot_ocr::page::Quality;

use super::{Case, Check, CheckCode, Outcome};
use crate::kind::DocumentType;

/// Share of the card's frame outside the photo: from here some of it is missing, and from the second so much that it is
/// no whole card.
const CUT_OFF: (f32, f32) = (0.04, 0.10);
/// Pixels across the card.
const NARROW: f32 = 380.0;
/// Distance from light to dark at the edge of a character, as a share of the card's width (0.5 mm).
const SOFT: f32 = 0.0058;
/// Share of the card that is burnt out.
const GLARING: f32 = 0.04;
/// Median brightness, and the distance between paper and ink.
const DARK: f32 = 0.14;
const PALE: f32 = 0.18;
/// Mean saturation below which a picture has no colour, and the median brightness above which that is a copier's work:
/// copiers turn the card's ground white, cameras and scanners in grey mode leave it grey.
const GREY: f32 = 0.035;
const COPIED: f32 = 0.80;
/// Mean saturation of what has no colour at all, whatever its brightness: of 24 tinted grey copies none has more than 0.013,
/// of 250 genuine cards of two programs none has less than 0.058.
const COLOURLESS: f32 = 0.02;
/// How much the card's surface looks like a display's: more than that of each of 262 genuine cards of the test kit, the
/// highest of which has 0.60. A suspicion only, so it costs the approval, not the card.
const ON_SCREEN: f32 = 0.65;
/// Strength of periodic patterns, for readers without the network: what 2 of 100 genuine cards exceed.
const PERIODIC: f32 = 0.5;
/// What is around the card against its paper, in grey levels of the file. Black cloth sends back a twentieth of the light
/// that paper does, a fourth in grey levels; only what shines by itself in the dark has surroundings as black as this.
const BLACK: f32 = 0.085;
/// Grey levels: compression that rounds the finest structure more coarsely than JPEG at quality 60 wipes a screen's grid
/// out, so its absence says nothing.
const COARSE: f32 = 40.0;

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
        check(CheckCode::Sharpness, quality.edge_width_px > SOFT * quality.card_width_px),
        check(CheckCode::Glare, quality.glare > GLARING),
        check(CheckCode::Darkness, quality.brightness < DARK || quality.contrast < PALE),
    ];
    if case.document != DocumentType::Other {
        let unless_measured = |outcome| if measured { outcome } else { Outcome::NotRun };
        checks.push(Check::new(CheckCode::Photocopy, unless_measured(colour(quality))));
        checks.push(Check::new(CheckCode::Screen, unless_measured(screen(quality))));
    }
    checks
}

/// Judges whether the card has the colours of one.
fn colour(quality: &Quality) -> Outcome {
    match quality.saturation < GREY {
        true if quality.brightness > COPIED || quality.saturation < COLOURLESS => Outcome::Fail,
        true => Outcome::Warn,
        false => Outcome::Pass,
    }
}

/// Judges whether a display was photographed; where compression would have wiped its traces out, nothing is known.
fn screen(quality: &Quality) -> Outcome {
    let shines = quality.surround.is_some_and(|surround| surround < BLACK);
    // The pattern's strength answers to fine lines, whoever prints them; the network has learned to tell them apart.
    let shown = match quality.presentation {
        Some(presentation) => presentation.screen > ON_SCREEN,
        None => quality.moire > PERIODIC,
    };
    match shown || shines {
        true => Outcome::Warn,
        false if quality.fine_step > COARSE => Outcome::NotRun,
        false => Outcome::Pass,
    }
}

#[cfg(test)]
mod tests {
    use filot_ocr::presentation::Presentation;

    use super::*;

    /// A photo against which nothing stands.
    fn good() -> Quality {
        let presentation = Some(Presentation { screen: 0.1, print: 0.1, copy: 0.1 });
        Quality { saturation: 0.2, brightness: 0.6, surround: Some(0.5), presentation, ..Quality::default() }
    }

    #[test]
    fn what_has_no_colour_is_a_copy() {
        for (saturation, brightness, expected) in [
            (0.2, 0.6, Outcome::Pass),
            (0.2, 0.9, Outcome::Pass),
            (0.012, 0.6, Outcome::Fail),
            (0.03, 0.6, Outcome::Warn),
            (0.03, 0.9, Outcome::Fail),
        ] {
            let quality = Quality { saturation, brightness, ..good() };
            assert_eq!(colour(&quality), expected, "{saturation} {brightness}");
        }
    }

    #[test]
    fn a_display_is_told_by_its_surface_or_by_its_light() {
        let seen = |screen| Some(Presentation { screen, print: 0.1, copy: 0.1 });
        assert_eq!(screen(&good()), Outcome::Pass);
        assert_eq!(screen(&Quality { presentation: seen(0.9), ..good() }), Outcome::Warn);
        assert_eq!(screen(&Quality { surround: Some(0.05), ..good() }), Outcome::Warn);
        // The network's word counts where there is one: genuine cards have fine lines, too.
        assert_eq!(screen(&Quality { moire: 0.9, ..good() }), Outcome::Pass);
        assert_eq!(screen(&Quality { moire: 0.9, presentation: None, ..good() }), Outcome::Warn);
        // Strong compression hides what there may be, and not what is seen all the same.
        assert_eq!(screen(&Quality { fine_step: 50.0, ..good() }), Outcome::NotRun);
        assert_eq!(screen(&Quality { fine_step: 50.0, presentation: seen(0.9), ..good() }), Outcome::Warn);
    }
}
