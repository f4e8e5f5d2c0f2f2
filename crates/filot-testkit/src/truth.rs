//! What is known about a picture: one line of `truth.jsonl`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::photograph::Ground;

/// What a picture shows, or is claimed to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CardType {
    Ktp,
    Npwp,
    Other,
}

/// How hard a picture is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    Clean,
    Normal,
    Hard,
    /// Not the card at all, or not a whole one.
    Negative,
}

impl Tier {
    pub const ALL: [Self; 4] = [Self::Clean, Self::Normal, Self::Hard, Self::Negative];

    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Normal => "normal",
            Self::Hard => "hard",
            Self::Negative => "negative",
        }
    }
}

/// Which decisions are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// A genuine card, well legible: needs no person.
    Approve,
    /// A genuine card that a person may have to look at; a rejection is wrong.
    ApproveOrReview,
    /// Inconsistent, a specimen, a picture of a screen: an approval is wrong.
    NotApprove,
    /// Not the card at all.
    Reject,
}

impl Expect {
    /// Whether the picture shows a genuine card.
    pub fn genuine(self) -> bool {
        matches!(self, Self::Approve | Self::ApproveOrReview)
    }
}

/// How the picture came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    #[default]
    Photo,
    /// Flat-bed scan.
    Scan,
    Photocopy,
    /// Photo of a display.
    Screen,
    Screenshot,
    /// Nothing but a surface.
    Texture,
    /// Nothing at all.
    Blank,
}

/// Circumstances of the picture; lengths in pixels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capture {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background: Option<Ground>,
    /// Deviation of the Gaussian blur.
    #[serde(skip_serializing_if = "is_zero")]
    pub blur: f32,
    /// Width of the card.
    #[serde(skip_serializing_if = "is_zero")]
    pub card_px: f32,
    /// The card's corners, clockwise from the one at its own top left, in the upright picture (EXIF orientation
    /// applied). Corners may lie outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corners: Option<[[f32; 2]; 4]>,
    #[serde(skip_serializing_if = "is_false")]
    pub creased: bool,
    /// The card fills the frame.
    #[serde(skip_serializing_if = "is_false")]
    pub cropped: bool,
    /// Part of the card lies outside the picture.
    #[serde(skip_serializing_if = "is_false")]
    pub edge_cut: bool,
    /// EXIF orientation, 1 to 8.
    pub exif: u8,
    #[serde(skip_serializing_if = "is_false")]
    pub fingers: bool,
    /// Number of reflections.
    #[serde(skip_serializing_if = "is_zero_count")]
    pub glare: u32,
    #[serde(skip_serializing_if = "is_false")]
    pub grey: bool,
    /// JPEG quality, 1 to 100.
    pub jpeg: u8,
    #[serde(skip_serializing_if = "is_false")]
    pub low_light: bool,
    pub medium: Medium,
    /// Length of the shake.
    #[serde(skip_serializing_if = "is_zero")]
    pub motion: f32,
    /// Deviation of the noise, of 255.
    #[serde(skip_serializing_if = "is_zero")]
    pub noise: f32,
    /// Quarter turns, counter-clockwise, of the card in the upright picture.
    pub rot90: u8,
    #[serde(skip_serializing_if = "is_false")]
    pub shadow: bool,
    /// Width and height as stored, before EXIF orientation.
    pub size: [u32; 2],
}

fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

fn is_zero_count(value: &u32) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// One picture's truth. Field names of `fields` and `hidden` are the Indonesian ones of the cards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    #[serde(default)]
    pub capture: Capture,
    /// Whether the values agree with each other; absent for what is no card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistent: Option<bool>,
    pub declared: CardType,
    /// Which thing it is instead of a card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoy: Option<String>,
    /// Generation of an NPWP (`old`, `blue`, `new16`) or `wna` for a foreigner's KTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design: Option<String>,
    pub expect: Expect,
    /// Values as printed.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    pub file: String,
    /// What is unusual about the card; see [`crate::Flag`].
    #[serde(default)]
    pub flags: Vec<String>,
    /// Fields that nobody could read in the picture.
    #[serde(default)]
    pub hidden: Vec<String>,
    pub tier: Tier,
    #[serde(rename = "type")]
    pub card: CardType,
}
