//! Hashes that bind an audit entry to a value without giving it away.

use aws_lc_rs::digest::{Context, SHA256};
use uuid::Uuid;

use crate::keys::hex;

/// First part of what is hashed; another form gets another.
const FORM: &[u8] = b"filot-correction/1";

/// SHA-256, lower-case hexadecimal, over what a correction says of a field: the name of the form, the 16 bytes of the
/// correction's id, the field's name and the value, each behind its length in bytes as 64 bits big-endian.
///
/// The id is random in 74 bits and stands nowhere but in the correction, which goes with its document. Until then whoever
/// knows it can prove the value; afterwards nobody can find it by trying, though there are few values.
pub(crate) fn commitment(id: Uuid, field: &str, value: &str) -> String {
    let mut context = Context::new(&SHA256);
    for part in [FORM, id.as_bytes(), field.as_bytes(), value.as_bytes()] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    hex(context.finish().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_and_the_form_stays() {
        let id = Uuid::from_u128(7);
        let known = commitment(id, "gender", "PEREMPUAN");
        for other in [
            commitment(Uuid::from_u128(8), "gender", "PEREMPUAN"),
            commitment(id, "religion", "PEREMPUAN"),
            commitment(id, "gender", "LAKI-LAKI"),
            commitment(id, "genderP", "EREMPUAN"),
        ] {
            assert_ne!(other, known);
        }
        // Computed by another program from the description.
        assert_eq!(known, "5b3cadfd17e9253339e5ad9a7ab0b32cd3820e67817ca61f2f3b2164f4232e7d");
    }
}
