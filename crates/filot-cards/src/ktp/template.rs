//! What is printed where on a KTP, in millimetres from the card's upper left corner.
//!
//! Measured on a published specimen (ID-1, 85.60 × 53.98 mm). Printing is offset by up to half a millimetre, and a name,
//! birth place or address of two rows pushes everything below it down by [`PITCH`].

/// Distance between neighbouring rows.
pub(crate) const PITCH: f32 = 2.494;
/// Left edge of the labels.
pub(crate) const LABEL_X: f32 = 2.57;
/// Left edge of the labels RT/RW, Kel/Desa and Kecamatan.
pub(crate) const INDENTED_X: f32 = 7.02;
/// Left edge of the values, after the colon.
pub(crate) const VALUE_X: f32 = 20.7;
/// Where values end and the portrait begins.
pub(crate) const VALUE_END: f32 = 60.8;
/// Pieces that begin right of this and are centred right of the other belong to the place and date of issue.
pub(crate) const RIGHT_COLUMN_X: f32 = 52.0;
pub(crate) const RIGHT_CENTRE: f32 = 62.5;
/// Left edges of the blood type's label and value.
pub(crate) const BLOOD_LABEL_X: f32 = 42.6;
pub(crate) const BLOOD_VALUE_X: f32 = 55.6;
/// First digit of the NIK, and the distance from digit to digit.
pub(crate) const NIK_X: f32 = 19.1;
pub(crate) const NIK_DIGIT: f32 = 2.243;
/// The header is centred here.
pub(crate) const HEADER_X: f32 = 42.8;

/// Label of the blood type, on the row of the sex.
pub(crate) const BLOOD_LABEL: &str = "Gol. Darah";

/// A row of the card, from top to bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Slot {
    Province,
    Regency,
    Nik,
    Name,
    Birth,
    Gender,
    Address,
    RtRw,
    Village,
    District,
    Religion,
    MaritalStatus,
    Occupation,
    Nationality,
    ValidUntil,
}

impl Slot {
    pub(crate) const ALL: [Slot; 15] = [
        Slot::Province,
        Slot::Regency,
        Slot::Nik,
        Slot::Name,
        Slot::Birth,
        Slot::Gender,
        Slot::Address,
        Slot::RtRw,
        Slot::Village,
        Slot::District,
        Slot::Religion,
        Slot::MaritalStatus,
        Slot::Occupation,
        Slot::Nationality,
        Slot::ValidUntil,
    ];

    /// Words that introduce the row, in the spellings that occur.
    pub(crate) fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Province => &["PROVINSI"],
            Self::Regency => &["KABUPATEN", "KOTA"],
            Self::Nik => &["NIK"],
            Self::Name => &["Nama"],
            Self::Birth => &["Tempat/Tgl Lahir", "Tempat/Tanggal Lahir"],
            Self::Gender => &["Jenis Kelamin"],
            Self::Address => &["Alamat"],
            Self::RtRw => &["RT/RW"],
            Self::Village => &["Kel/Desa", "Kelurahan/Desa"],
            Self::District => &["Kecamatan"],
            // The second on cards of people whose belief is none of the six religions.
            Self::Religion => &["Agama", "Kepercayaan"],
            Self::MaritalStatus => &["Status Perkawinan"],
            Self::Occupation => &["Pekerjaan"],
            Self::Nationality => &["Kewarganegaraan"],
            Self::ValidUntil => &["Berlaku Hingga"],
        }
    }

    /// The two centred rows at the top, whose introducing word is part of what they say.
    pub(crate) fn is_header(self) -> bool {
        self <= Self::Regency
    }

    /// Left edge of the label; of the value for the header rows, which have none.
    pub(crate) fn label_x(self) -> f32 {
        match self {
            Self::RtRw | Self::Village | Self::District => INDENTED_X,
            _ => LABEL_X,
        }
    }

    /// Centre of the row on a card where nothing is wrapped.
    pub(crate) fn y(self) -> f32 {
        match self {
            Self::Province => 4.05,
            Self::Regency => 7.13,
            Self::Nik => 11.34,
            row => 16.19 + PITCH * f32::from(row as u8 - Self::Name as u8),
        }
    }

    /// Whether a long value may go on in the next row.
    pub(crate) fn wraps(self) -> bool {
        matches!(self, Self::Name | Self::Birth | Self::Address | Self::Occupation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_from_top_to_bottom() {
        assert!(Slot::ALL.is_sorted_by(|a, b| a.y() < b.y()));
        assert!((Slot::Gender.y() - 21.18).abs() < 0.05);
        assert!(Slot::ValidUntil.y() < 45.0);
    }
}
