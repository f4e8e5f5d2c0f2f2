//! The closed list of reasons for a decision.

use filot_cards::checks::Sentence;

use crate::document::spelled;
use crate::store::Ruling;

/// Declares the reasons: ruling, then the officer's words, then what the customer is told; each in Bahasa Indonesia and
/// English. The customer is told what to do, never a suspicion.
macro_rules! reasons {
    ($($name:ident = $code:literal: $ruling:ident
        ($id:literal, $en:literal) ($customer_id:literal, $customer_en:literal);)+) => {
        spelled! {
            /// Why an officer decides as they do.
            Reason { $($name = $code),+ }
        }

        impl Reason {
            /// The decision that it is a reason for.
            pub fn ruling(self) -> Ruling {
                match self { $(Self::$name => Ruling::$ruling),+ }
            }

            /// For officers.
            pub fn officer(self) -> Sentence {
                match self { $(Self::$name => Sentence { id: $id, en: $en }),+ }
            }

            /// For whoever sent the photo.
            pub fn customer(self) -> Sentence {
                match self { $(Self::$name => Sentence { id: $customer_id, en: $customer_en }),+ }
            }
        }
    };
}

reasons! {
    DataMatches = "DATA_MATCHES": Approve
        ("Data cocok dengan kartu", "Data matches the card")
        ("Dokumen Anda diterima.", "Your document has been accepted.");
    DataCorrected = "DATA_CORRECTED": Approve
        ("Data cocok setelah dikoreksi", "Data matches after correction")
        ("Dokumen Anda diterima.", "Your document has been accepted.");
    FindingHarmless = "FINDING_HARMLESS": Approve
        ("Temuan pemeriksaan tidak berarti", "The finding is harmless")
        ("Dokumen Anda diterima.", "Your document has been accepted.");

    NotACard = "NOT_A_CARD": Reject
        ("Bukan KTP atau NPWP", "Not a KTP or NPWP card")
        ("Foto ini tidak menampilkan KTP atau kartu NPWP.", "This photo does not show a KTP or NPWP card.");
    WrongType = "WRONG_TYPE": Reject
        ("Bukan jenis kartu yang diminta", "Not the kind of card asked for")
        ("Kartu pada foto bukan jenis yang diminta.", "The card in the photo is not the kind asked for.");
    NotOriginal = "NOT_ORIGINAL": Reject
        ("Bukan kartu asli: salinan, layar, contoh", "Not the original: copy, screen, specimen")
        ("Dokumen tidak dapat diterima. Hubungi kami bila Anda memerlukan bantuan.",
         "The document cannot be accepted. Contact us if you need help.");
    Altered = "ALTERED": Reject
        ("Tanda-tanda perubahan pada kartu", "Signs of alteration")
        ("Dokumen tidak dapat diterima. Hubungi kami bila Anda memerlukan bantuan.",
         "The document cannot be accepted. Contact us if you need help.");
    DataInvalid = "DATA_INVALID": Reject
        ("Data pada kartu tidak sah", "The card's data is not valid")
        ("Data pada kartu tidak dapat diverifikasi. Hubungi kami bila Anda memerlukan bantuan.",
         "The card's data could not be verified. Contact us if you need help.");
    NotEligible = "NOT_ELIGIBLE": Reject
        ("Tidak memenuhi syarat: umur atau masa berlaku", "Not eligible: age or validity")
        ("Kartu ini belum atau tidak lagi memenuhi syarat.", "This card is not, or no longer, eligible.");

    Blurred = "BLURRED": Retake
        ("Foto kabur", "Blurred photo")
        ("Foto kabur. Tahan kamera dengan stabil, lalu foto ulang.",
         "The photo is blurred. Please hold the camera still and retake it.");
    Glare = "GLARE": Retake
        ("Pantulan cahaya", "Glare")
        ("Foto terlalu silau. Miringkan kartu sedikit, lalu foto ulang.",
         "The photo has glare. Please tilt the card a little and retake it.");
    Dark = "DARK": Retake
        ("Terlalu gelap", "Too dark")
        ("Foto terlalu gelap. Cari tempat yang lebih terang, lalu foto ulang.",
         "The photo is too dark. Please find a brighter place and retake it.");
    CutOff = "CUT_OFF": Retake
        ("Kartu terpotong", "Card cut off")
        ("Sebagian kartu berada di luar foto. Foto ulang dengan seluruh kartu terlihat.",
         "Part of the card is outside the photo. Please retake it with the whole card in view.");
    TooSmall = "TOO_SMALL": Retake
        ("Kartu terlalu kecil", "Card too small")
        ("Kartu terlalu kecil pada foto. Dekatkan kamera, lalu foto ulang.",
         "The card is too small in the photo. Please move closer and retake it.");
    Covered = "COVERED": Retake
        ("Sebagian tertutup", "Partly covered")
        ("Sebagian kartu tertutup. Singkirkan jari atau benda lain, lalu foto ulang.",
         "Part of the card is covered. Please remove fingers or objects and retake it.");
}

impl Reason {
    /// The reasons for a decision, in the order in which they are numbered.
    pub fn of(ruling: Ruling) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |reason| reason.ruling() == ruling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decision_has_reasons_that_one_key_reaches() {
        for &ruling in Ruling::ALL {
            assert!((1..=9).contains(&Reason::of(ruling).count()), "{ruling}");
        }
    }

    #[test]
    fn customers_read_sentences_without_suspicion() {
        for reason in Reason::ALL {
            let Sentence { id, en } = reason.customer();
            for text in [id, en] {
                assert!(text.len() > 10 && text.ends_with('.'), "{reason}: {text}");
                let text = text.to_lowercase();
                for word in ["palsu", "fake", "fraud", "tamper", "alter", "perubahan", "salinan", "copy"] {
                    assert!(!text.contains(word), "{reason}: {text}");
                }
            }
        }
    }
}
