//! One picture, chosen or drawn: what it shows, how it is taken, and what is true of it.

use image::RgbImage;

use crate::decoy::Decoy;
use crate::dice::Dice;
use crate::flag::Flag;
use crate::photograph::{self, Backdrop, Shot, Wishes};
use crate::resident::Resident;
use crate::sheet::{CARD_HEIGHT, CARD_WIDTH, Sheet};
use crate::taxpayer::{NpwpDesign, Taxpayer};
use crate::truth::{CardType, Expect, Medium, Tier, Truth};
use crate::{jpeg, ktp, npwp, overprint, wear};

/// A picture with its truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The whole file.
    pub jpeg: Vec<u8>,
    pub truth: Truth,
    /// What stands on the card and can be seen whole, piece by piece: a label, its colon, each line of a value.
    pub prints: Vec<Print>,
}

/// Something printed, and where it is seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Print {
    pub text: String,
    /// Pixels of the upright picture, clockwise from the upper left of the text. From 0.74 of the letters' size above the
    /// base line to 0.2 below it; capitals are 0.72 high.
    pub corners: [[f32; 2]; 4],
}

impl Sample {
    /// The name under which the truth knows the file.
    pub fn file_name(&self) -> &str {
        &self.truth.file
    }
}

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An identity card; `foreign` for the orange one of residents from abroad.
    Ktp {
        foreign: bool,
    },
    Npwp(NpwpDesign),
    Decoy(Decoy),
}

/// A picture to be drawn. Everything not chosen follows from the seed.
///
/// ```
/// use filot_testkit::{Case, Flag, Tier};
/// let sample = Case::ktp().tier(Tier::Normal).flag(Flag::BadNikSerial).long_side(1024).draw(7);
/// assert!(sample.truth.fields["nik"].ends_with("0000"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub(crate) subject: Subject,
    pub(crate) tier: Tier,
    pub(crate) medium: Medium,
    pub(crate) flags: Vec<Flag>,
    pub(crate) long_side: Option<u32>,
    pub(crate) declared: Option<CardType>,
    pub(crate) gibberish: bool,
}

impl Case {
    /// A citizen's identity card, cleanly photographed.
    pub fn ktp() -> Self {
        Self::of(Subject::Ktp { foreign: false })
    }

    /// A foreign resident's identity card.
    pub fn foreign_ktp() -> Self {
        Self::of(Subject::Ktp { foreign: true })
    }

    /// A tax card of one generation.
    pub fn npwp(design: NpwpDesign) -> Self {
        Self::of(Subject::Npwp(design))
    }

    /// Something that is not (all of) the declared card.
    pub fn decoy(decoy: Decoy) -> Self {
        Self { tier: Tier::Negative, ..Self::of(Subject::Decoy(decoy)) }
    }

    /// Any subject, cleanly photographed.
    pub fn of(subject: Subject) -> Self {
        Self {
            subject,
            tier: Tier::Clean,
            medium: Medium::Photo,
            flags: Vec::new(),
            long_side: None,
            declared: None,
            gibberish: false,
        }
    }

    /// Many words of names, places and addresses are letters by chance, so that whoever learns to read from such cards
    /// learns letters rather than the kit's vocabulary.
    #[must_use]
    pub fn gibberish(mut self) -> Self {
        self.gibberish = true;
        self
    }

    /// How hard the picture is to read. Decoys stay negative.
    #[must_use]
    pub fn tier(mut self, tier: Tier) -> Self {
        if !matches!(self.subject, Subject::Decoy(_)) {
            self.tier = tier;
        }
        self
    }

    /// How the picture came about.
    #[must_use]
    pub fn medium(mut self, medium: Medium) -> Self {
        self.medium = medium;
        self
    }

    /// One more oddity; those that the subject cannot have are without effect.
    #[must_use]
    pub fn flag(mut self, flag: Flag) -> Self {
        self.flags.push(flag);
        self
    }

    /// Longer side of the picture in pixels. Without it, sizes vary from 480 to 4,000.
    #[must_use]
    pub fn long_side(mut self, pixels: u32) -> Self {
        self.long_side = Some(pixels);
        self
    }

    /// What the uploader claims; by default the truth.
    #[must_use]
    pub fn declared(mut self, card: CardType) -> Self {
        self.declared = Some(card);
        self
    }

    /// Draws and photographs it. The same case and seed give the same bytes.
    pub fn draw(&self, seed: u64) -> Sample {
        let dice = Dice::new(seed);
        let subject = self.settled();
        let wishes = Wishes {
            tier: self.tier,
            medium: self.medium,
            uncovered: self.flags.iter().any(|flag| flag.inconsistent()),
            long_side: self.long_side,
            beyond: match subject {
                Subject::Decoy(decoy) => decoy.beyond(&mut dice.branch(6)),
                _ => None,
            },
        };
        let size = self.size(subject, &dice);
        let shot = Shot::draw(&dice.branch(1), &wishes, size);
        // A little more than one print pixel to one of the picture; very large pictures are soft anyway.
        let scale = (1.15 * shot.placement_scale()).clamp(6.0, 30.0);
        let (mut sheet, mut truth) = self.print(subject, &dice, scale);
        wear::mark(&mut sheet, &mut dice.branch(4), shot.creased, shot.scratches);
        let backdrop = Backdrop::draw(&mut dice.branch(3), shot.ground);
        let picture = photograph::take(&shot, &sheet, &backdrop, &dice.branch(2));
        if !truth.fields.is_empty() {
            truth.hidden = photograph::hidden_fields(&shot, &sheet).into_iter().collect();
        }
        let camera = dice.branch(8).chance(0.5).then_some("KAMERA");
        let (jpeg, stored) = jpeg::encode(picture, shot.quality, shot.exif, camera, shot.halve_colour);
        truth.capture = shot.capture(size, stored);
        if let Subject::Decoy(decoy) = subject {
            decoy.amend(&mut truth.capture);
        }
        truth.expect = self.expect(subject, &truth);
        let prints = photograph::visible_prints(&shot, &sheet);
        Sample { jpeg, truth, prints }
    }

    /// The card as it leaves the printer, `width` pixels wide, before anybody photographs it. Decoys without a thing to see
    /// give a plain picture.
    pub fn card(&self, seed: u64, width: u32) -> RgbImage {
        let subject = self.settled();
        let dice = Dice::new(seed);
        let [millimetres, _] = self.size(subject, &dice);
        self.print(subject, &dice, width as f32 / millimetres).0.pixels
    }

    /// Width and height of the thing in millimetres.
    fn size(&self, subject: Subject, dice: &Dice) -> [f32; 2] {
        match subject {
            Subject::Decoy(decoy) => decoy.size(&mut dice.branch(7)),
            _ => [CARD_WIDTH, CARD_HEIGHT],
        }
    }

    /// Only the newest tax card has two numbers that can differ.
    fn settled(&self) -> Subject {
        match self.subject {
            Subject::Npwp(_) if self.flags.contains(&Flag::Nik16Mismatch) => Subject::Npwp(NpwpDesign::New16),
            other => other,
        }
    }

    /// The card before it is photographed, with what is known so far.
    fn print(&self, subject: Subject, dice: &Dice, scale: f32) -> (Sheet, Truth) {
        let mut content = dice.branch(10);
        let look = dice.branch(11);
        let mut truth = Truth {
            capture: Default::default(),
            consistent: Some(!self.flags.iter().any(|flag| flag.inconsistent())),
            declared: CardType::Other,
            decoy: None,
            design: None,
            expect: Expect::Approve,
            fields: Default::default(),
            file: "00000.jpg".into(),
            flags: self.flags.iter().map(|flag| flag.code().to_owned()).collect(),
            hidden: Vec::new(),
            tier: self.tier,
            card: CardType::Other,
        };
        let mut sheet = match subject {
            Subject::Ktp { foreign } => {
                let mut person = Resident::draw(&mut content, foreign);
                for flag in &self.flags {
                    flag.apply_to_resident(&mut person, &mut content);
                }
                if self.gibberish {
                    person.garble(&mut dice.branch(14));
                }
                truth.card = CardType::Ktp;
                truth.fields = ktp::fields(&person);
                truth.design = foreign.then(|| "wna".to_owned());
                ktp::draw(&person, &look, scale)
            }
            Subject::Npwp(design) => {
                let mut payer = Taxpayer::draw(&mut content, design);
                for flag in &self.flags {
                    flag.apply_to_taxpayer(&mut payer, &mut content);
                }
                if self.gibberish {
                    payer.garble(&mut dice.branch(14));
                }
                truth.card = CardType::Npwp;
                truth.fields = npwp::fields(&payer);
                truth.design = Some(design.code().to_owned());
                npwp::draw(&payer, design, &look, scale)
            }
            Subject::Decoy(decoy) => {
                truth.consistent = None;
                truth.decoy = Some(decoy.code().to_owned());
                let (sheet, card) = decoy.draw(&mut content, &look, scale, &mut dice.branch(7));
                truth.card = card;
                sheet
            }
        };
        if self.flags.contains(&Flag::Specimen) {
            overprint::specimen(&mut sheet, &mut dice.branch(12));
        }
        for (medium, flag) in [(Medium::Photocopy, Flag::Photocopy), (Medium::Screen, Flag::Screen)] {
            if self.medium == medium && !matches!(subject, Subject::Decoy(_)) && !self.flags.contains(&flag) {
                truth.flags.push(flag.code().to_owned());
            }
        }
        let claim = match (subject, truth.card) {
            (Subject::Decoy(Decoy::WrongType), CardType::Ktp) => CardType::Npwp,
            (Subject::Decoy(Decoy::WrongType), _) => CardType::Ktp,
            (_, CardType::Other) => *dice.branch(13).pick(&[CardType::Ktp, CardType::Npwp]),
            (_, card) => card,
        };
        truth.declared = self.declared.unwrap_or(claim);
        (sheet, truth)
    }

    fn expect(&self, subject: Subject, truth: &Truth) -> Expect {
        let odd = |code: &str| truth.flags.iter().any(|flag| flag == code);
        match subject {
            Subject::Decoy(Decoy::WrongType | Decoy::HalfCard) => Expect::NotApprove,
            Subject::Decoy(_) => Expect::Reject,
            _ if truth.declared != truth.card => Expect::NotApprove,
            _ if self.medium == Medium::Screen || self.flags.iter().any(|flag| flag.forbids_approval()) => {
                Expect::NotApprove
            }
            Subject::Ktp { foreign: true } => Expect::ApproveOrReview,
            _ if truth.tier == Tier::Hard
                || !truth.hidden.is_empty()
                || odd("photocopy")
                || truth.capture.grey
                || odd("nik_region_differs")
                || odd("nik_retired_region") =>
            {
                Expect::ApproveOrReview
            }
            _ => Expect::Approve,
        }
    }
}

#[cfg(test)]
mod tests {
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
            let pixel = picture.get_pixel(
                (x as u32 + dx).min(picture.width() - 1),
                (y as u32 + dy).min(picture.height() - 1),
            );
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
        assert_eq!(
            half.truth.capture.corners.expect("corners").into_iter().filter(|c| outside(*c)).count(),
            2
        );

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
}
