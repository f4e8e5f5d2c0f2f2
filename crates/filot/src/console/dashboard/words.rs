//! The words of the dashboard in both languages.

use super::super::language::Language;
use crate::buli2::BreakerState;

/// Declares the words: name, Bahasa Indonesia, English.
macro_rules! words {
    ($($name:ident: $id:literal, $en:literal;)+) => {
        /// The words of one language.
        pub(super) struct Words { $(pub(super) $name: &'static str),+ }

        const INDONESIAN: Words = Words { $($name: $id),+ };
        const ENGLISH: Words = Words { $($name: $en),+ };
    };
}

words! {
    range: "Rentang", "Range";
    days: "hari", "days";
    day: "Tanggal", "Day";
    number: "Jumlah", "Number";
    numbers: "Angka", "Numbers";
    none: "belum ada", "none yet";
    unknown: "tidak diketahui", "unknown";
    waiting: "Menunggu petugas", "Waiting for a person";
    age_p50: "Umur antrean p50", "Queue age p50";
    age_p95: "Umur antrean p95", "Queue age p95";
    oldest: "Paling lama", "Longest";
    queue_age: "Umur antrean sekarang", "Age of the queue now";
    automatic: "Bagian otomatis", "Automatic share";
    automatic_long: "Bagian dokumen terbaca yang tidak memerlukan petugas",
        "Share of the documents read that needed nobody";
    read: "Dibaca", "Read";
    decided: "Diputuskan petugas", "Decided by people";
    throughput: "Dokumen per hari", "Documents a day";
    approved: "Disetujui otomatis", "Approved automatically";
    rejected: "Ditolak otomatis", "Rejected automatically";
    people: "Ke petugas", "To a person";
    failed: "Tidak terbaca", "Could not be read";
    in_days: "dalam # hari terakhir", "in the last # days";
    reasons: "Keputusan menurut alasan", "Decisions by reason";
    reason: "Alasan", "Reason";
    over_time: "Per hari", "By day";
    external: "Tanpa kode (pemeriksa luar)", "No code (external reviewers)";
    officers: "Kecepatan pemeriksa", "Reviewers’ speed";
    officer: "Pemeriksa", "Reviewer";
    decisions: "Keputusan", "Decisions";
    median: "Median (mnt:dtk)", "Median (min:s)";
    p95: "p95 (mnt:dtk)", "p95 (min:s)";
    everybody: "Semua", "Everybody";
    you: "Anda", "You";
    no_rulings: "Belum ada keputusan dalam rentang ini.", "No decisions in this range yet.";
    agreement: "Kesepakatan pemeriksa kedua", "Agreement of second looks";
    second_look: "pemeriksaan kedua", "second looks";
    first_second: "Pertama ↓ kedua →", "First ↓ second →";
    kappa: "Kappa Cohen", "Cohen’s kappa";
    kappa_means: "1 berarti selalu sepakat, 0 berarti tidak lebih dari kebetulan.",
        "1 is full agreement, 0 no more than chance gives.";
    health: "Antrean baca dan BULI2", "Reading queue and BULI2";
    unread: "Menunggu dibaca", "Waiting to be read";
    unread_gpu: "Menunggu dibaca (GPU)", "Waiting to be read (GPU)";
    buli2: "BULI2", "BULI2";
    no_buli2: "tidak dipakai: pemeriksaan di sini", "not in use: reviews happen here";
    breaker: "Pemutus arus (proses ini)", "Circuit breaker (this process)";
    closed: "tertutup: BULI2 dihubungi", "closed: BULI2 is called";
    open: "terbuka: BULI2 dibiarkan", "open: BULI2 is left alone";
    half_open: "satu percobaan menentukan", "one try decides";
    with_buli2: "Belum diputuskan BULI2", "Undecided at BULI2";
    unsent: "Belum dikirim", "Not sent yet";
    retrying: "Dicoba lagi", "Being retried";
    next_retry: "Percobaan berikutnya", "Next retry";
    trail: "Jejak audit", "Audit trail";
    entries: "Catatan", "Entries";
    checkpoint: "Titik periksa terakhir", "Last checkpoint";
    since: "Catatan sesudahnya", "Entries since";
    no_checkpoints: "tidak disimpan; atur audit.checkpoint_file", "not kept; set audit.checkpoint_file";
    no_checkpoint_yet: "belum ada dalam berkas", "none in the file yet";
    no_checkpoint_file: "berkas tidak dapat dibaca; periksa izinnya", "the file cannot be read; check its permissions";
}

pub(super) fn of(language: Language) -> &'static Words {
    match language {
        Language::Indonesian => &INDONESIAN,
        Language::English => &ENGLISH,
    }
}

impl Words {
    /// What a chart over days shows, in a sentence.
    pub(super) fn described(&self, what: &str, days: i16, total: u64) -> String {
        format!("{what}: {total} {}.", self.in_days.replace('#', &days.to_string()))
    }

    /// How many second looks a number is about.
    pub(super) fn second_looks(&self, days: i16, count: u64) -> String {
        format!("{count} {}", self.in_days.replace('#', &days.to_string()))
    }

    /// The head of a table.
    pub(super) fn head(&self, first: &str, others: &[&str]) -> Vec<String> {
        std::iter::once(first).chain(others.iter().copied()).map(str::to_owned).collect()
    }

    pub(super) fn breaker_state(&self, state: BreakerState) -> &'static str {
        match state {
            BreakerState::Closed => self.closed,
            BreakerState::Open => self.open,
            BreakerState::HalfOpen => self.half_open,
        }
    }
}
