use super::*;
use image::{ImageDecoder, ImageReader};
use std::io::Cursor;

/// The picture as a viewer shows it.
fn upright(sample: &Sample) -> RgbImage {
    let reader =
        ImageReader::new(Cursor::new(&sample.jpeg)).with_guessed_format().expect("memory is readable");
    let mut decoder = reader.into_decoder().expect("a JPEG");
    let orientation = decoder.orientation().expect("readable EXIF");
    assert_eq!(orientation.to_exif(), sample.truth.capture.exif);
    let mut picture = image::DynamicImage::from_decoder(decoder).expect("a sound file");
    picture.apply_orientation(orientation);
    picture.into_rgb8()
}

/// Mean colour of a small square.
fn colour(picture: &RgbImage, x: f32, y: f32) -> [f32; 3] {
    let mut sum = [0.0; 3];
    for (dx, dy) in (0..5).flat_map(|dx| (0..5).map(move |dy| (dx, dy))) {
        let pixel = picture
            .get_pixel((x as u32 + dx).min(picture.width() - 1), (y as u32 + dy).min(picture.height() - 1));
        for (sum, value) in sum.iter_mut().zip(pixel.0) {
            *sum += f32::from(value) / 25.0;
        }
    }
    sum
}

#[test]
fn same_case_and_seed_give_the_same_bytes() {
    for case in [
        Case::ktp().tier(Tier::Hard),
        Case::npwp(NpwpDesign::Old).medium(Medium::Screen),
        Case::decoy(Decoy::Sim),
    ] {
        let case = case.long_side(800);
        assert_eq!(case.draw(3), case.draw(3));
        assert_ne!(case.draw(3).jpeg, case.draw(4).jpeg);
    }
}

#[test]
fn corners_and_print_are_where_the_truth_says() {
    // The portrait's ground is red for odd years of birth and blue for even ones: whether it is found at its place
    // tells that corners, turns and EXIF orientation all agree.
    let mut turned = 0;
    for seed in 0..24 {
        let sample = Case::ktp().tier(Tier::Normal).flag(Flag::BadNikSerial).long_side(1024).draw(seed);
        let picture = upright(&sample);
        let capture = &sample.truth.capture;
        if capture.grey || capture.shadow {
            continue;
        }
        turned += u32::from(capture.exif != 1 || capture.rot90 != 0);
        let [a, b, c, d] = capture.corners.expect("a card has corners");
        // A spot in the portrait's upper left corner; perspective is weak enough for a bilinear guess.
        let (u, v) = (0.735, 0.215);
        let at = |axis: usize| {
            (1.0 - v) * ((1.0 - u) * a[axis] + u * b[axis]) + v * ((1.0 - u) * d[axis] + u * c[axis])
        };
        let [red, _, blue] = colour(&picture, at(0), at(1));
        let odd = sample.truth.fields["tanggal_lahir"].ends_with(['1', '3', '5', '7', '9']);
        assert_eq!(red > blue, odd, "seed {seed}: red {red} blue {blue} {capture:?}");
    }
    assert!(turned > 2, "some pictures are turned");
}

#[test]
fn the_printed_card_has_the_asked_for_width_and_the_same_print() {
    let case = Case::ktp();
    let (small, large) = (case.card(4, 400), case.card(4, 800));
    assert!(small.width().abs_diff(400) <= 1 && large.width().abs_diff(800) <= 1);
    // The portrait's ground has the same colour at both sizes.
    let (a, b) = (colour(&small, 300.0, 60.0), colour(&large, 600.0, 120.0));
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 6.0), "{a:?} {b:?}");
}

#[test]
fn every_decoy_draws_and_must_not_be_approved() {
    for decoy in Decoy::ALL {
        let sample = Case::decoy(decoy).long_side(800).draw(5);
        upright(&sample);
        let truth = &sample.truth;
        assert!(matches!(truth.expect, Expect::Reject | Expect::NotApprove));
        assert_eq!(truth.tier, Tier::Negative);
        assert_eq!(truth.decoy.as_deref(), Some(decoy.code()));
        assert!(truth.fields.is_empty() && truth.consistent.is_none());
        assert_eq!(truth.declared == truth.card, decoy == Decoy::HalfCard);
        assert_eq!(truth.capture.corners.is_some(), !matches!(decoy, Decoy::Texture | Decoy::Blank));
    }
}

#[test]
fn every_flag_and_medium_has_its_expectation() {
    for flag in Flag::KTP {
        let truth = Case::ktp().flag(flag).long_side(640).draw(9).truth;
        assert_eq!(truth.flags, [flag.code()]);
        assert_eq!(truth.consistent, Some(!flag.forbids_approval()));
        assert_eq!(truth.expect == Expect::NotApprove, flag.forbids_approval(), "{flag:?}");
        assert!(truth.hidden.is_empty());
    }
    for flag in Flag::NPWP {
        let truth = Case::npwp(NpwpDesign::Blue).flag(flag).long_side(640).draw(9).truth;
        assert_eq!((truth.expect, truth.consistent), (Expect::NotApprove, Some(false)));
    }
    let expect = |medium| Case::ktp().medium(medium).long_side(900).draw(2).truth.expect;
    assert_eq!(expect(Medium::Scan), Expect::Approve);
    assert_eq!(expect(Medium::Photocopy), Expect::ApproveOrReview);
    assert_eq!(expect(Medium::Screen), Expect::NotApprove);
}

#[test]
fn half_cards_are_cut_and_hidden_fields_are_named() {
    let half = Case::decoy(Decoy::HalfCard).long_side(800).draw(1);
    let [width, height] = upright(&half).dimensions().into();
    let outside = |[x, y]: [f32; 2]| x < 0.0 || y < 0.0 || x > width as f32 || y > height as f32;
    assert_eq!(half.truth.capture.corners.expect("corners").into_iter().filter(|c| outside(*c)).count(), 2);

    let hidden = (0..40).map(|seed| Case::ktp().tier(Tier::Hard).long_side(800).draw(seed).truth);
    let (mut covered, mut open) = (0, 0);
    for truth in hidden {
        let capture = &truth.capture;
        let obstacles = capture.fingers || capture.glare > 0 || capture.edge_cut;
        assert!(truth.hidden.is_empty() || obstacles, "{capture:?}");
        covered += u32::from(!truth.hidden.is_empty());
        open += u32::from(!obstacles);
    }
    assert!(covered > 4 && open > 4, "{covered} {open}");
}

#[test]
fn foreigners_have_english_cards() {
    let truth = Case::foreign_ktp().long_side(800).draw(1).truth;
    assert!(matches!(truth.fields["jenis_kelamin"].as_str(), "MALE" | "FEMALE"));
    assert_ne!(truth.fields["kewarganegaraan"], "WNI");
    assert_eq!(truth.design.as_deref(), Some("wna"));
}
