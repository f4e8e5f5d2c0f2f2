use filot_testkit::{Case, Decoy, Tier};

use super::*;
use crate::image::{Format, Limits, Photo};
use crate::native::whole_photo;
use crate::page::Point;

fn locator() -> Locator {
    Locator::load(&Runtime::Rten, 1).unwrap()
}

/// What is found, and the worst corner of four in shares of the card's width.
fn found(locator: &Locator, case: &Case, seed: u64) -> (Located, f32) {
    let sample = case.draw(seed);
    let photo = Photo::decode(&sample.jpeg, &Limits::default()).unwrap();
    let located = locator.locate(&whole_photo(&photo)).unwrap().unwrap();
    let truth = sample.truth.capture.corners.unwrap();
    let off = truth.iter().zip(located.corners.0).map(|([x, y], p)| {
        let in_base = Point { x: x / photo.reduction, y: y / photo.reduction };
        distance(in_base, p)
    });
    let worst = off.fold(0.0, f32::max);
    (located, worst / located.corners.width())
}

#[test]
fn a_clean_card_is_found_with_its_corners_in_order() {
    let locator = locator();
    for seed in 0..4 {
        let (located, worst) = found(&locator, &Case::ktp().long_side(1280), seed);
        assert!(worst < 0.02, "seed {seed}: {worst} {located:?}");
        assert_eq!(located.kind, Kind::Ktp);
        assert!(!located.mirrored());
    }
}

#[test]
fn a_mirrored_card_is_noticed_and_put_right() {
    let scene = filot_testkit::Scene { mirrored: true, ..Default::default() };
    let (located, worst) = found(&locator(), &Case::ktp().long_side(1280).scene(scene), 2);
    assert!(located.mirrored() && worst < 0.02, "{worst} {located:?}");
}

#[test]
fn a_turned_photo_gives_the_card_its_own_corners() {
    let locator = locator();
    let sample = Case::ktp().tier(Tier::Clean).long_side(1280).draw(1);
    let photo = Photo::decode(&sample.jpeg, &Limits::default()).unwrap();
    let upright = locator.locate(&whole_photo(&photo)).unwrap().unwrap();
    let over = ::image::imageops::rotate180(&*photo.pixels);
    let over = Photo::from_pixels(over, Format::Jpeg, &Limits::default());
    let turned = locator.locate(&whole_photo(&over)).unwrap().unwrap();
    let (width, height) = (over.pixels.width() as f32, over.pixels.height() as f32);
    for (a, b) in upright.corners.0.iter().zip(turned.corners.0) {
        let back = Point { x: width - b.x, y: height - b.y };
        assert!(distance(*a, back) < 0.02 * upright.corners.width(), "{a:?} {back:?}");
    }
}

/// Two photos above one another as one, and where the cards are in it.
fn two_cards() -> (Photo, [Quad; 2]) {
    let photos =
        [Case::ktp(), Case::npwp(filot_testkit::NpwpDesign::New16)].map(|case| case.long_side(1024).draw(4));
    let decoded =
        photos.each_ref().map(|sample| Photo::decode(&sample.jpeg, &Limits::default()).unwrap().pixels);
    let [above, below] = &decoded;
    let mut both = RgbImage::new(above.width().max(below.width()), above.height() + below.height());
    ::image::imageops::replace(&mut both, &**above, 0, 0);
    ::image::imageops::replace(&mut both, &**below, 0, above.height().into());
    let corners = |n: usize, down: f32| {
        let corners = photos[n].truth.capture.corners.unwrap();
        Quad(corners.map(|[x, y]| Point { x, y: y + down }))
    };
    let places = [corners(0, 0.0), corners(1, above.height() as f32)];
    (Photo::from_pixels(both, Format::Jpeg, &Limits::default()), places)
}

#[test]
fn of_two_cards_each_is_found() {
    let (locator, (photo, places)) = (locator(), two_cards());
    let whole = whole_photo(&photo);
    let first = locator.locate(&whole).unwrap().unwrap();
    let second = locator.locate_beside(&whole, &first.corners).unwrap().unwrap();
    let off = |card: &Located, place: &Quad| {
        let off = place.0.iter().zip(card.corners.0).map(|(a, b)| distance(*a, b));
        off.fold(0.0, f32::max) / place.width()
    };
    let right = |a: &Located, b: &Located| off(a, &places[0]) < 0.02 && off(b, &places[1]) < 0.02;
    assert!(right(&first, &second) || right(&second, &first), "{places:?} {first:?} {second:?}");
    assert!(first.confidence > 0.9 && second.confidence > 0.9, "{first:?} {second:?}");

    // Beside a card that is alone there is none.
    let alone = Case::ktp().long_side(1024).draw(4);
    let alone = Photo::decode(&alone.jpeg, &Limits::default()).unwrap();
    let whole = whole_photo(&alone);
    let only = locator.locate(&whole).unwrap().unwrap();
    let beside = locator.locate_beside(&whole, &only.corners).unwrap();
    assert!(beside.is_none_or(|card| card.confidence < 0.5), "{beside:?}");
}

#[test]
fn a_bare_surface_is_no_card() {
    let sample = Case::decoy(Decoy::Texture).long_side(1024).draw(3);
    let photo = Photo::decode(&sample.jpeg, &Limits::default()).unwrap();
    let located = locator().locate(&whole_photo(&photo)).unwrap();
    assert!(located.is_none_or(|found| found.confidence < 0.5), "{located:?}");
}

#[test]
fn both_runs_of_the_networks_agree_with_themselves() {
    let photo = Case::ktp().long_side(1024).draw(5);
    let photo = Photo::decode(&photo.jpeg, &Limits::default()).unwrap();
    let locator = locator();
    let look = || locator.locate(&whole_photo(&photo)).unwrap();
    let found = look();
    assert_eq!(found, look());
    if let Some(found) = found {
        assert!((0.0..=1.0).contains(&found.confidence) && (0.0..=1.0).contains(&found.upright), "{found:?}");
        assert!(decode::is_convex(&found.corners));
    }
}

#[test]
fn a_side_is_the_line_through_most_of_its_places() {
    // A side that climbs by a tenth, hidden in one part, where something else is seen.
    let side = |along: f32| 40.0 + 0.1 * (along - 128.0);
    let logits = |along: f32| {
        let hidden = (60.0..100.0).contains(&along);
        let place = if hidden { 10.0 } else { side(along) } / 4.0;
        (0..14).map(move |bin| -2.0 * (bin as f32 + 0.5 - place).powi(2))
    };
    let upright = |place: f32| (0..14).map(move |bin| -2.0 * (bin as f32 + 0.5 - place).powi(2));
    let mut out: Vec<f32> = (0..64).flat_map(|n| logits(4.0 * n as f32 + 2.0)).collect();
    out.extend((0..48).flat_map(|_| upright(7.0)));
    out.extend((0..64).flat_map(|_| upright(7.0)));
    out.extend((0..48).flat_map(|_| upright(7.0)));
    out.extend([9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, -9.0]);
    let seen = decode::second(&out).unwrap();
    for (corner, (x, y)) in
        seen.corners.iter().zip([(28.0, side(28.0)), (228.0, side(228.0)), (228.0, 164.0), (28.0, 164.0)])
    {
        assert!((corner.x - x).abs() < 1.0 && (corner.y - y).abs() < 1.0, "{corner:?} is not {x} {y}");
    }
    assert!(seen.kind == 0 && seen.turn == 0 && !seen.mirrored && seen.certainty > 0.8, "{seen:?}");
    assert!(decode::second(&out[1..]).is_err());
}

#[test]
fn corners_come_back_to_their_own_order() {
    let at = |x: f32, y: f32| Point { x, y };
    let own = Quad([at(0.0, 0.0), at(8.0, 0.0), at(8.0, 5.0), at(0.0, 5.0)]);
    for turn in 0..4 {
        assert_eq!(decode::own_order(&own.turned(turn), turn, false), own);
        let [a, b, c, d] = own.turned(turn).0;
        assert_eq!(decode::own_order(&Quad([b, a, d, c]), turn, true), own);
    }
    assert!(decode::is_convex(&Quad(own.0.map(|p| at(100.0 * p.x, 100.0 * p.y)))));
    assert!(!decode::is_convex(&Quad([own.0[0], own.0[2], own.0[1], own.0[3]])));
}
