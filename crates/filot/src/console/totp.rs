//! One-time codes (TOTP, RFC 6238) and the picture that a phone reads them in with.

use qrcode::{Color, EcLevel, QrCode};
use totp_rs::{Algorithm, Builder, Totp};

/// Seconds that a code is good for, and how many codes before and after the present one are accepted, for clocks that
/// are not quite right.
const STEP: u64 = 30;
const SKEW: i64 = 1;
/// Bytes of a secret (RFC 4226 recommends 20).
pub(super) const SECRET: usize = 20;

/// What makes an officer's codes.
pub(super) struct Codes(Totp);

impl Codes {
    pub(super) fn new(secret: Vec<u8>) -> Self {
        let codes = Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_skew(0)
            .with_step_duration(STEP)
            .with_secret(secret);
        // What is checked otherwise is the length of the secret, which is [`SECRET`].
        Self(codes.build_noncompliant())
    }

    /// The time step of which `code` is the code, if it is near `now` (seconds since 1970).
    pub(super) fn step_of(&self, code: &str, now: i64) -> Option<i64> {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let present = now / STEP as i64;
        (present - SKEW..=present + SKEW).find(|step| {
            let time = u64::try_from(*step).unwrap_or_default() * STEP;
            let own = self.0.generate(time).to_string();
            aws_lc_rs::constant_time::verify_slices_are_equal(own.as_bytes(), code.as_bytes()).is_ok()
        })
    }

    /// The secret for typing in, in groups of four.
    pub(super) fn spelled(&self) -> String {
        let text = self.0.secret().to_base32();
        text.as_bytes().chunks(4).map(|part| String::from_utf8_lossy(part)).collect::<Vec<_>>().join(" ")
    }

    /// The address that phones take a secret in from.
    fn address(&self, account: &str) -> String {
        let account: String = url::form_urlencoded::byte_serialize(account.as_bytes()).collect();
        format!("otpauth://totp/FiLot:{account}?secret={}&issuer=FiLot", self.0.secret().to_base32())
    }

    /// The same as a picture: the side in modules, and the dark ones as an SVG path.
    pub(super) fn picture(&self, account: &str) -> Option<(usize, String)> {
        let code = QrCode::with_error_correction_level(self.address(account), EcLevel::M).ok()?;
        let (side, colors) = (code.width(), code.to_colors());
        let dark = |at: &(usize, &Color)| *at.1 == Color::Dark;
        let path = colors
            .iter()
            .enumerate()
            .filter(dark)
            .map(|(at, _)| format!("M{} {}h1v1h-1z", at % side, at / side))
            .collect();
        Some((side, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, the last six digits.
        let codes = Codes::new(b"12345678901234567890".to_vec());
        for (time, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(codes.step_of(code, time), Some(time / 30));
            assert_eq!(codes.step_of(&format!("{} {}", &code[..3], &code[3..]), time + 30), Some(time / 30));
            assert_eq!(codes.step_of(code, time + 61), None);
        }
        assert_eq!(codes.step_of("", 59), None);
        assert_eq!(codes.spelled().len(), 32 + 7);
        assert!(codes.picture("ani@example.com").unwrap().0 > 20);
    }
}
