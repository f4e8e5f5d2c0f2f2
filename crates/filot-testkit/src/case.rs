//! One picture, chosen or drawn: what it shows, how it is taken, and what is true of it.

use image::RgbImage;

use crate::decoy::Decoy;
use crate::dice::Dice;
use crate::flag::Flag;
use crate::photograph::{self, Backdrop, Shot, Wishes};
use crate::resident::Resident;
use crate::scene::Scene;
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
    pub(crate) scene: Scene,
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
            scene: Scene::default(),
        }
    }

    /// Surroundings, card stock and angles that sets of a seed do not have.
    #[must_use]
    pub fn scene(mut self, scene: Scene) -> Self {
        self.scene = scene;
        self
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
            scene: self.scene,
        };
        let size = self.size(subject, &dice);
        let shot = Shot::draw(&dice.branch(1), &wishes, size);
        // A little more than one print pixel to one of the picture; very large pictures are soft anyway.
        let coarsest = if self.scene.sketch { 2.5 } else { 6.0 };
        let scale = (1.15 * shot.placement_scale()).clamp(coarsest, 30.0);
        let (mut sheet, mut truth) = self.print(subject, &dice, scale);
        self.scene.age(&mut sheet, &dice.branch(21));
        wear::mark(&mut sheet, &mut dice.branch(4), shot.creased, shot.scratches);
        let mut backdrop = Backdrop::draw(&mut dice.branch(3), shot.ground);
        backdrop.lay(self.scene.neighbours(&dice.branch(22), [sheet.width, sheet.height], scale));
        let mut picture = photograph::take(&shot, &sheet, &backdrop, &dice.branch(2));
        if self.scene.mirrored {
            picture = image::imageops::flip_horizontal(&picture);
        }
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
        let mut prints = photograph::visible_prints(&shot, &sheet);
        if self.scene.mirrored {
            let width = shot.size[0] as f32;
            let corners = truth.capture.corners.iter_mut().chain(prints.iter_mut().map(|p| &mut p.corners));
            corners.flatten().for_each(|corner| corner[0] = width - corner[0]);
        }
        Sample { jpeg, truth, prints }
    }

    /// The card as it leaves the printer, `width` pixels wide, before anybody photographs it; aged as its scene says. Decoys
    /// without a thing to see give a plain picture.
    pub fn card(&self, seed: u64, width: u32) -> RgbImage {
        let subject = self.settled();
        let dice = Dice::new(seed);
        let [millimetres, _] = self.size(subject, &dice);
        let mut sheet = self.print(subject, &dice, width as f32 / millimetres).0;
        self.scene.age(&mut sheet, &dice.branch(21));
        sheet.pixels
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
mod tests;
