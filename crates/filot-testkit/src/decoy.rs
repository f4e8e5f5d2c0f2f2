//! Things that people upload instead of the card.

mod cards;
mod papers;

use crate::dice::Dice;
use crate::portrait;
use crate::resident::Resident;
use crate::sheet::{CARD_HEIGHT, CARD_WIDTH, Sheet};
use crate::taxpayer::{NpwpDesign, Taxpayer};
use crate::truth::{Capture, CardType, Medium};
use crate::{ktp, npwp};

/// One kind of wrong thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decoy {
    /// Health insurance card (BPJS, Kartu Indonesia Sehat).
    Bpjs,
    /// Driving licence.
    Sim,
    Student,
    Business,
    Receipt,
    /// A sheet with all labels and values of a KTP, typed.
    TypedForm,
    /// A portrait photo.
    Face,
    /// Nothing but a surface.
    Texture,
    /// Nothing at all.
    Blank,
    /// A card with nothing but a valid NIK on it.
    NikOnly,
    /// A tax card declared as an identity card, or the other way round.
    WrongType,
    /// A genuine card of which about half lies outside the picture.
    HalfCard,
}

impl Decoy {
    pub const ALL: [Self; 12] = [
        Self::Bpjs,
        Self::Sim,
        Self::Student,
        Self::Business,
        Self::Receipt,
        Self::TypedForm,
        Self::Face,
        Self::Texture,
        Self::Blank,
        Self::NikOnly,
        Self::WrongType,
        Self::HalfCard,
    ];

    /// How often each occurs in a set.
    pub(crate) const MIX: [(Self, f32); 12] = [
        (Self::Bpjs, 1.5),
        (Self::Sim, 1.5),
        (Self::Student, 1.0),
        (Self::Business, 1.0),
        (Self::Receipt, 1.0),
        (Self::TypedForm, 2.0),
        (Self::Face, 1.5),
        (Self::Texture, 0.7),
        (Self::Blank, 0.5),
        (Self::NikOnly, 1.0),
        (Self::WrongType, 2.0),
        (Self::HalfCard, 2.0),
    ];

    /// The name in `truth.jsonl`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Bpjs => "bpjs",
            Self::Sim => "sim",
            Self::Student => "student",
            Self::Business => "business",
            Self::Receipt => "receipt",
            Self::TypedForm => "typed_form",
            Self::Face => "face",
            Self::Texture => "texture",
            Self::Blank => "blank",
            Self::NikOnly => "nik_only",
            Self::WrongType => "wrong_type",
            Self::HalfCard => "half_card",
        }
    }

    /// Width and height in millimetres.
    pub(crate) fn size(self, dice: &mut Dice) -> [f32; 2] {
        match self {
            Self::Business => [90.0, 55.0],
            Self::Receipt => [dice.range(58.0, 80.0), dice.range(90.0, 150.0)],
            Self::TypedForm => [dice.range(120.0, 180.0), dice.range(90.0, 120.0)],
            Self::Face => [40.0, 54.0],
            _ => [CARD_WIDTH, CARD_HEIGHT],
        }
    }

    /// Share of the thing that lies outside the picture; all of it and more where there is nothing to see.
    pub(crate) fn beyond(self, dice: &mut Dice) -> Option<f32> {
        match self {
            Self::Texture | Self::Blank => Some(3.0),
            Self::HalfCard => Some(dice.range(0.36, 0.6)),
            _ => None,
        }
    }

    /// The thing, and which type of card it is. `size` must be the dice that [`Decoy::size`] gets.
    pub(crate) fn draw(
        self,
        content: &mut Dice,
        look: &Dice,
        scale: f32,
        size: &mut Dice,
    ) -> (Sheet, CardType) {
        let [width, height] = self.size(size);
        let person = Resident::draw(content, false);
        let mut style = look.branch(20);
        let dice = &mut style;
        let real_card = |content: &mut Dice| {
            if content.chance(0.5) {
                (ktp::draw(&person, look, scale), CardType::Ktp)
            } else {
                let design = *content.pick(&[NpwpDesign::Old, NpwpDesign::Blue, NpwpDesign::New16]);
                (npwp::draw(&Taxpayer::draw(content, design), design, look, scale), CardType::Npwp)
            }
        };
        let sheet = match self {
            Self::WrongType | Self::HalfCard => return real_card(content),
            Self::Bpjs => cards::health(dice, &person, scale),
            Self::Sim => cards::licence(dice, &person, scale),
            Self::Student => cards::student(dice, &person, scale),
            Self::Business => cards::business(dice, &person, scale, [width, height]),
            Self::NikOnly => cards::nik_only(dice, &person, scale),
            Self::Receipt => papers::receipt(dice, scale, [width, height]),
            Self::TypedForm => papers::form(dice, &person, scale, [width, height]),
            Self::Face => {
                let mut sheet = Sheet::new(width, height, 0.0, scale, [200.0; 3]);
                let ground = [dice.range(90.0, 230.0), dice.range(90.0, 230.0), dice.range(90.0, 230.0)];
                let extent = sheet.extent();
                portrait::photo(&mut sheet, dice, extent, person.female, ground);
                sheet
            }
            Self::Texture | Self::Blank => Sheet::new(width, height, 0.0, 1.0, [128.0; 3]),
        };
        (sheet, CardType::Other)
    }

    /// Says in the truth what there is to see.
    pub(crate) fn amend(self, capture: &mut Capture) {
        match self {
            Self::Texture => capture.medium = Medium::Texture,
            Self::Blank => capture.medium = Medium::Blank,
            _ => return,
        }
        capture.corners = None;
        capture.card_px = 0.0;
    }
}
