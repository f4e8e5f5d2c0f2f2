//! The words of the customer's page in both languages.

use axum::http::StatusCode;
use tracing::error;

use super::super::language::Language;
use crate::intake;

/// The words of one language.
pub(super) struct Words {
    pub(super) title: &'static str,
    /// The kind of card stands behind it.
    pub(super) heading: &'static str,
    pub(super) what: &'static str,
    pub(super) choose: &'static str,
    pub(super) send: &'static str,
    pub(super) tips: &'static str,
    pub(super) tip_list: [&'static str; 4],
    pub(super) until: &'static str,
    /// `#` stands for the number.
    pub(super) attempts: &'static str,
    pub(super) private: &'static str,
    pub(super) other_language: &'static str,
    pub(super) received_title: &'static str,
    pub(super) received: &'static str,
    pub(super) closed_title: &'static str,
    pub(super) used: &'static str,
    pub(super) expired: &'static str,
    pub(super) unknown: &'static str,
    pub(super) busy: &'static str,
    none: &'static str,
    too_large: &'static str,
    not_a_photo: &'static str,
    damaged: &'static str,
    pdf: &'static str,
    too_much: &'static str,
    later: &'static str,
}

pub(super) fn of(language: Language) -> &'static Words {
    match language {
        Language::Indonesian => &INDONESIAN,
        Language::English => &ENGLISH,
    }
}

impl Words {
    /// What the customer can do about a photo that is not taken, and the status that goes with it.
    pub(super) fn problem(&self, problem: &intake::Error) -> (StatusCode, &'static str) {
        match problem.code() {
            Some("file_empty") => (StatusCode::BAD_REQUEST, self.none),
            Some("file_too_large" | "too_many_pixels") => (StatusCode::PAYLOAD_TOO_LARGE, self.too_large),
            Some("not_a_picture" | "unsupported_format" | "media_type_mismatch") => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, self.not_a_photo)
            }
            Some("pdf_encrypted" | "pdf_no_page" | "pdf_failed") => {
                (StatusCode::UNPROCESSABLE_ENTITY, self.pdf)
            }
            Some("quota_exceeded") => (StatusCode::TOO_MANY_REQUESTS, self.too_much),
            Some("busy") => (StatusCode::SERVICE_UNAVAILABLE, self.later),
            Some(_) => (StatusCode::UNPROCESSABLE_ENTITY, self.damaged),
            None => {
                error!(error = %problem, "a photo of a retake was not stored");
                (StatusCode::SERVICE_UNAVAILABLE, self.later)
            }
        }
    }
}

const INDONESIAN: Words = Words {
    title: "Foto ulang kartu",
    heading: "Foto ulang kartu",
    what: "Kami memerlukan foto baru dari kartu Anda.",
    choose: "Ambil atau pilih foto",
    send: "Kirim foto",
    tips: "Agar foto langsung diterima",
    tip_list: [
        "Letakkan kartu di tempat yang rata dan terang.",
        "Seluruh kartu terlihat, keempat sudutnya ada di dalam foto.",
        "Tidak ada pantulan lampu atau bayangan di atas tulisan.",
        "Tahan ponsel sampai gambar tajam, baru ambil fotonya.",
    ],
    until: "Link ini berlaku sampai",
    attempts: "Foto yang masih dapat dikirim: #.",
    private: "Foto hanya dipakai untuk memeriksa kartu Anda.",
    other_language: "English",
    received_title: "Terima kasih",
    received: "Foto Anda sudah kami terima dan sedang diperiksa. Anda dapat menutup halaman ini.",
    closed_title: "Link tidak dapat dipakai",
    used: "Foto sudah kami terima lewat link ini. Link hanya berlaku untuk satu foto, jadi foto berikutnya tidak disimpan.",
    expired: "Link ini sudah kedaluwarsa. Buka aplikasi Anda untuk mendapat link baru.",
    unknown: "Link ini tidak dikenal atau tidak berlaku lagi. Buka aplikasi Anda untuk mendapat link yang benar.",
    busy: "Layanan sedang sibuk. Tunggu beberapa detik, lalu buka link ini lagi.",
    none: "Belum ada foto. Ambil atau pilih foto dahulu, lalu kirim.",
    too_large: "Foto terlalu besar. Pilih ukuran foto yang lebih kecil di kamera, lalu kirim lagi.",
    not_a_photo: "Berkas ini bukan foto yang dapat dibaca. Kirim foto JPEG, PNG atau WebP.",
    damaged: "Foto rusak atau terputus saat dikirim. Ambil foto sekali lagi, lalu kirim.",
    pdf: "PDF ini tidak dapat dibaca. Kirim foto kartu.",
    too_much: "Batas kiriman hari ini sudah tercapai. Coba lagi besok; link ini masih berlaku.",
    later: "Foto belum tersimpan karena layanan sedang sibuk. Tunggu sebentar, lalu kirim lagi.",
};

const ENGLISH: Words = Words {
    title: "Retake the photo of your card",
    heading: "Retake the photo of your",
    what: "We need a new photo of your card.",
    choose: "Take or choose a photo",
    send: "Send photo",
    tips: "So that it is accepted at once",
    tip_list: [
        "Lay the card on a flat surface in good light.",
        "Show the whole card, with all four corners in the photo.",
        "No reflections or shadows on the writing.",
        "Hold the phone still until the picture is sharp, then take it.",
    ],
    until: "This link works until",
    attempts: "Photos that can still be sent: #.",
    private: "The photo is only used to check your card.",
    other_language: "Bahasa Indonesia",
    received_title: "Thank you",
    received: "We have received your photo and are checking it. You can close this page.",
    closed_title: "This link cannot be used",
    used: "We have received a photo by this link. It takes one photo only, so the next one was not stored.",
    expired: "This link has expired. Open your app to get a new one.",
    unknown: "This link is not known or no longer valid. Open your app to get the right one.",
    busy: "The service is busy. Wait a few seconds, then open this link again.",
    none: "There is no photo yet. Take or choose one first, then send it.",
    too_large: "The photo is too large. Choose a smaller photo size in the camera and send it again.",
    not_a_photo: "This file is not a photo that can be read. Send a JPEG, PNG or WebP photo.",
    damaged: "The photo is damaged or broke off while it was sent. Take it once more and send it.",
    pdf: "This PDF cannot be read. Send a photo of the card.",
    too_much: "Today's limit is reached. Try again tomorrow; this link still works.",
    later: "The photo was not stored because the service is busy. Wait a little, then send it again.",
};
