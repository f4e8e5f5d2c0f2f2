//! The names of our files. What is called otherwise is somebody else's, and left alone.

use uuid::Uuid;

use crate::document::{CardType, DocumentId, UserId};

/// Media types of files and how their names end.
const EXTENSIONS: &[(&str, &str)] =
    &[("image/jpeg", "jpg"), ("image/png", "png"), ("image/webp", "webp"), ("application/pdf", "pdf")];
/// How the name of any other file ends.
const OTHER: &str = "bin";

/// A name of ours: `<owner>/<card type>_<document>.<extension>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileKey {
    pub owner: UserId,
    pub card_type: CardType,
    pub document: DocumentId,
}

impl FileKey {
    /// Reads a key as [`super::Blobs::key`] writes it, letter by letter; `None` for every other name.
    pub fn parse(key: &str) -> Option<Self> {
        let (owner, name) = key.split_once('/')?;
        let (card_type, rest) = name.split_once('_')?;
        let (document, extension) = rest.split_once('.')?;
        let known = extension == OTHER || EXTENSIONS.iter().any(|(_, end)| *end == extension);
        Some(Self {
            owner: UserId(plain_uuid(owner)?),
            card_type: card_type.parse().ok()?,
            document: DocumentId(plain_uuid(document)?),
        })
        .filter(|_| known)
    }
}

/// How the name of a file of this type ends.
pub(super) fn extension(media_type: &str) -> &'static str {
    EXTENSIONS.iter().find(|(known, _)| *known == media_type).map_or(OTHER, |(_, end)| end)
}

/// A UUID in the one spelling that we use: lower case, with hyphens.
fn plain_uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|uuid| uuid.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_ours_is_read_and_nothing_else() {
        let (owner, document) = (UserId::new(), DocumentId::new());
        for media_type in ["image/jpeg", "image/png", "image/webp", "application/pdf", "text/plain"] {
            let key = super::super::Blobs::key(owner, CardType::Npwp, document, media_type);
            assert_eq!(FileKey::parse(&key), Some(FileKey { owner, card_type: CardType::Npwp, document }));
        }
        let upper = owner.to_string().to_uppercase();
        for foreign in [
            "exports/report.csv".to_owned(),
            "filot-installation.json".to_owned(),
            format!("{owner}/KTP_{document}"),
            format!("{owner}/KTP_{document}.png#1"),
            format!("{owner}/KTP_{document}.png.bak"),
            format!("{owner}/KTP_{document}.svg"),
            format!("{owner}/SIM_{document}.png"),
            format!("{owner}/ktp_{document}.png"),
            format!("{owner}/KTP_1.png"),
            format!("{upper}/KTP_{document}.png"),
            format!("{}/KTP_{document}.png", owner.0.simple()),
            format!("staging/{owner}/KTP_{document}.png"),
            format!("{owner}/KTP_{document}.png/x"),
            format!("/{owner}/KTP_{document}.png"),
            String::new(),
        ] {
            assert_eq!(FileKey::parse(&foreign), None, "{foreign}");
        }
    }
}
