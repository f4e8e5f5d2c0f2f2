//! Every word of the pages in both languages.

use filot_cards::field::FieldKey;

/// Declares the words: name, Bahasa Indonesia, English.
macro_rules! words {
    ($($name:ident: $id:literal, $en:literal;)+) => {
        /// The words of one language.
        pub(super) struct Words { $(pub(super) $name: &'static str),+ }

        pub(super) const INDONESIAN: Words = Words { $($name: $id),+ };
        pub(super) const ENGLISH: Words = Words { $($name: $en),+ };
    };
}

words! {
    skip: "Langsung ke isi", "Skip to content";
    queue: "Antrean", "Queue";
    dashboard: "Dasbor", "Dashboard";
    help: "Bantuan", "Help";
    keys: "Tombol pintas", "Keyboard";
    close: "Tutup", "Close";
    other_language: "English", "Bahasa Indonesia";
    sign_in: "Masuk", "Sign in";
    sign_out: "Keluar", "Sign out";
    email: "Surel", "E-mail";
    password: "Kata sandi", "Password";
    code: "Kode sekali pakai (6 angka)", "One-time code (6 digits)";
    code_hint: "Buka aplikasi autentikator di ponsel Anda.", "Open the authenticator app on your phone.";
    confirm: "Lanjutkan", "Continue";
    wrong: "Surel, kata sandi, atau kode tidak cocok, atau akun ini bukan akun pemeriksa.",
        "E-mail, password or code do not fit, or this is no reviewer's account.";
    wrong_code: "Kode tidak cocok atau sudah dipakai. Tunggu kode berikutnya, lalu coba lagi.",
        "The code does not fit or has been used. Wait for the next one and try again.";
    factor_lost: "Kode sekali pakai Anda tidak dapat diperiksa lagi karena kunci layanan telah diganti. Minta administrator \
        mengatur ulang kode sekali pakai Anda, lalu masuk lagi.",
        "Your one-time codes can no longer be checked, because the service's key was changed. Ask an administrator to reset \
        them, then sign in again.";
    no_factor: "Akun ini belum memiliki kode sekali pakai. Buka tautan penyiapan yang Anda terima; bila sudah tidak berlaku, \
        minta yang baru kepada administrator.",
        "This account has no one-time codes yet. Open the set-up link that you were given; if it no longer works, ask an \
        administrator for a new one.";
    too_often: "Terlalu banyak percobaan. Tunggu sebentar, lalu coba lagi.",
        "Too many attempts. Wait a little and try again.";
    invite: "Siapkan akun Anda", "Set up your account";
    invite_how: "Pilih kata sandi Anda sendiri, lalu atur kode sekali pakai. Tautan ini berlaku satu kali.",
        "Choose a password of your own, then set up one-time codes. This link works once.";
    invite_replaces: "Di peramban ini Anda akan keluar dari akun", "At this browser you will be signed out of the account of";
    new_password: "Kata sandi baru (minimal 10 karakter)", "New password (at least 10 characters)";
    password_again: "Ulangi kata sandi baru", "New password again";
    present_password: "Kata sandi sekarang", "Present password";
    not_same: "Kedua kata sandi tidak sama.", "The two passwords are not the same.";
    weak: "Alamat surel tidak dapat dipakai, atau kata sandi kurang dari 10 atau lebih dari 256 karakter.",
        "The e-mail address cannot be used, or the password has less than 10 or more than 256 characters.";
    taken: "Alamat surel ini sudah memiliki akun. Pakai alamat lain.", "This e-mail address has an account. Use another one.";
    link_over: "Tautan ini tidak berlaku, atau tidak lagi. Minta yang baru kepada administrator.",
        "This link is not valid, or no longer. Ask an administrator for a new one.";
    account: "Akun saya", "My account";
    change_password: "Ubah kata sandi", "Change password";
    wrong_password: "Kata sandi sekarang tidak cocok.", "The present password does not fit.";
    password_changed: "Kata sandi sudah diubah. Di tempat lain Anda sudah dikeluarkan.",
        "The password is changed. Everywhere else you are signed out.";
    everywhere: "Keluar di mana-mana", "Sign out everywhere";
    everywhere_how: "Mengakhiri semua sesi Anda, di sini, di perangkat lain, dan di aplikasi.",
        "Ends all your sessions, here, on other devices and in apps.";
    enrol: "Atur kode sekali pakai", "Set up one-time codes";
    enrol_how: "Pindai gambar ini dengan aplikasi autentikator, lalu ketik kode yang ditampilkan.",
        "Scan this picture with an authenticator app, then type the code that it shows.";
    enrol_type: "Tidak dapat memindai? Ketik kunci ini:", "Cannot scan? Type this key:";
    qr: "Gambar QR untuk aplikasi autentikator", "QR picture for the authenticator app";
    waiting: "menunggu", "waiting";
    nothing: "Tidak ada yang menunggu. Bagus!", "Nothing is waiting. Well done!";
    nothing_here: "Tidak ada yang cocok dengan saringan ini.", "Nothing matches this filter.";
    all: "Semua", "All";
    mine: "Pada saya", "Mine";
    free: "Bebas", "Free";
    late: "Terlambat", "Late";
    soon: "Segera", "Pressing";
    in_time: "Tepat waktu", "In time";
    filter: "Saring", "Filter";
    reason: "Alasan", "Reason";
    card_type: "Jenis", "Kind";
    whose: "Pada siapa", "With whom";
    age: "Umur", "Age";
    score: "Skor", "Score";
    document: "Dokumen", "Document";
    action: "Tindakan", "Action";
    take: "Ambil", "Take";
    carry_on: "Lanjutkan", "Carry on";
    more: "Berikutnya", "More";
    take_next: "Ambil berikutnya", "Take next";
    disagreement: "Beda pendapat", "Disagreement";
    held_by: "diperiksa oleh", "with";
    back: "Kembali ke antrean", "Back to the queue";
    put_back: "Kembalikan", "Put back";
    next: "Lewati, ambil berikutnya", "Skip, take next";
    photo: "Foto dokumen", "Photo of the document";
    view_original: "Asli", "Original";
    view_straightened: "Lurus", "Straightened";
    turn_left: "Putar kiri", "Turn left";
    turn_right: "Putar kanan", "Turn right";
    contrast: "Kontras", "Contrast";
    whole: "Seluruhnya", "Whole";
    reveal: "Tampilkan data", "Show data";
    hide: "Samarkan data", "Blur data";
    zoom_to: "Perbesar di foto", "Zoom to it in the photo";
    fields: "Data kartu", "Card data";
    findings: "Temuan", "Findings";
    read_as: "Terbaca", "Read as";
    not_read: "tidak terbaca", "not read";
    corrected_from: "Dikoreksi dari", "Corrected from";
    confirmed: "Dibenarkan", "Confirmed";
    checked: "diperiksa", "checked";
    confidence: "Keyakinan", "Confidence";
    save: "Simpan", "Save";
    unreadable: "Pembaca tidak dapat membaca dokumen ini.", "The reader could not read this document.";
    approve: "Setujui", "Approve";
    reject: "Tolak", "Reject";
    retake: "Minta foto ulang", "Ask for a retake";
    decision: "Keputusan", "Decision";
    note: "Catatan (tidak wajib)", "Note (optional)";
    why: "Pilih alasannya:", "Choose the reason:";
    officers_said: "Kata kedua pemeriksa", "What the two reviewers said";
    undo: "Urungkan", "Undo";
    undo_until: "Dapat diurungkan selama", "Can be undone for";
    seconds: "detik", "seconds";
    noted: "Dicatat", "Noted";
    not_held: "Ambil dokumen ini untuk melihat isinya.", "Take this document to see what is in it.";
    notice: "Pemberitahuan", "Notice";
    not_found: "Tidak ada di sini, atau bukan untuk Anda.", "There is nothing here, or not for you.";
    forged: "Formulir ini tidak berlaku lagi. Muat ulang halaman, lalu coba lagi.",
        "This form is no longer valid. Load the page again and retry.";
    changed: "Dokumen ini berubah atau tidak lagi pada Anda. Ambil lagi dari antrean untuk melihat keadaan terakhir.",
        "This document has changed or is no longer with you. Take it from the queue again to see it as it is now.";
    changed_by_you: "Anda mengubah atau memutuskan dokumen ini di tab lain. Muat ulang untuk melihat keadaan terakhir.",
        "You have changed this document or decided on it in another tab. Load the page again to see it as it is now.";
    ending: "Anda akan segera dikeluarkan karena tidak ada kegiatan, atau karena sesi berakhir. Tekan tombol apa saja untuk tetap masuk.",
        "You will soon be signed out because nothing is happening, or because the session is at its end. Press any key to stay.";
    reload: "Muat ulang", "Load again";
    too_late: "Keputusan sudah berlaku dan tidak dapat diurungkan.",
        "The decision has taken effect and cannot be undone.";
    unfit: "Isian tidak dapat diterima. Kembali, perbaiki, lalu coba lagi.",
        "A value cannot be accepted. Go back, mend it and try again.";
    no_picture: "Gambar tidak dapat ditampilkan. Minta foto ulang bila perlu.",
        "The picture cannot be shown. Ask for a retake if need be.";
    busy: "Layanan sedang sibuk. Coba lagi beberapa detik lagi.",
        "The service is busy. Try again in a few seconds.";
    broken: "Terjadi kesalahan pada server dan sudah dicatat. Coba lagi.",
        "Something went wrong at the server, and has been noted. Try again.";
    own: "Dokumen ini tentang Anda sendiri. Orang lain yang memeriksanya.",
        "This document is about yourself. Somebody else looks at it.";
    alone: "Persetujuan seperti ini perlu dua orang, dan tidak ada pemeriksa lain yang menyetujui nilai ini. Pakai nilai \
        pemeriksa yang menyetujui, atau tolak, atau minta foto ulang.",
        "An approval like this takes two people, and neither reviewer approves these values. Use the values of the one who \
        approves, or reject, or ask for a retake.";
    unseen: "Lihat foto dahulu: tunjuk foto atau tekan B, lalu putuskan.",
        "Look at the photo first: point at it or press B, then decide.";
    two_people: "Persetujuan ini perlu dua orang:", "Approving this takes two people:";
    against_rejected: "mesin menolaknya", "the machine has rejected it";
    against_unread: "kartu tidak terbaca", "the card could not be read";
    against_failed: "ada pemeriksaan yang gagal", "a check has failed";
    against_unchecked: "ada pemeriksaan yang tidak dapat dijalankan", "a check could not run";
    against_retyped: "nama, nomor, atau tanggal lahir diketik ulang", "name, number or date of birth was typed";
    against_buli2: "BULI2 menolaknya", "BULI2 has rejected it";
    stuck: "menunggu orang lain yang belum ada. Administrator lain perlu akun: filot create-user --role admin",
        "waiting for somebody else, who does not exist. Another administrator needs an account: filot create-user --role admin";
    not_yours: "Dokumen ini perlu dilihat oleh orang lain.", "This document needs somebody else's eyes.";
    key_move: "dokumen atau kolom berikutnya, sebelumnya", "next, previous document or field";
    key_open: "ambil dokumen", "take the document";
    key_decide: "setujui, tolak, minta foto ulang", "approve, reject, ask for a retake";
    key_reason: "alasan menurut nomor, lalu putuskan", "reason by its number, and decide";
    key_zoom: "perbesar kolom di foto, atau seluruhnya", "zoom to the field, or the whole photo";
    key_turn: "putar foto", "turn the photo";
    key_edit: "ubah kolom; huruf pertama melengkapi isian baku, Enter menyimpan, Esc keluar",
        "edit the field; first letters complete usual entries, Enter saves, Esc leaves";
    key_view: "foto asli atau lurus", "original or straightened photo";
    key_contrast: "kontras", "contrast";
    key_reveal: "tampilkan atau samarkan data", "show or blur data";
    key_next: "lewati, ambil berikutnya", "skip, take next";
    key_undo: "urungkan keputusan terakhir", "undo the last decision";
    key_help: "bantuan ini", "this help";
    help_text: "Data pribadi disamarkan sampai ditunjuk, difokus, atau ditampilkan dengan B. Setiap tampilan dicatat. \
Simpan nilai yang sama untuk membenarkan bacaan; kosongkan bila kartu tidak memuatnya. Tulis tanggal seperti tercetak \
(31-12-1990). Menyetujui kartu yang ditolak mesin, yang gagal diperiksa, atau yang nama, nomor, atau tanggal lahirnya \
diketik perlu dua orang.",
        "Personal data is blurred until it is pointed at, focused, or shown with B. Every view is recorded. \
Save the same value to confirm a reading; empty it where the card has none. Write dates as printed (31-12-1990). \
Approving against the machine, a failed check or with a typed name, number or date of birth takes two people.";
}

/// The name of a field, in Bahasa Indonesia and English.
pub(super) fn field(key: FieldKey) -> (&'static str, &'static str) {
    use FieldKey as F;
    match key {
        F::NpwpNumber => ("NPWP 15 digit", "NPWP, 15 digits"),
        F::Npwp16 => ("NPWP 16 digit", "NPWP, 16 digits"),
        F::Nik => ("NIK", "NIK"),
        F::Name => ("Nama", "Name"),
        F::BirthPlace => ("Tempat lahir", "Place of birth"),
        F::BirthDate => ("Tanggal lahir", "Date of birth"),
        F::Gender => ("Jenis kelamin", "Sex"),
        F::BloodType => ("Golongan darah", "Blood type"),
        F::Address => ("Alamat", "Address"),
        F::RtRw => ("RT/RW", "RT/RW"),
        F::Village => ("Kelurahan/desa", "Village"),
        F::District => ("Kecamatan", "District"),
        F::Religion => ("Agama", "Religion"),
        F::MaritalStatus => ("Status perkawinan", "Marital status"),
        F::Occupation => ("Pekerjaan", "Occupation"),
        F::Nationality => ("Kewarganegaraan", "Nationality"),
        F::ValidUntil => ("Berlaku hingga", "Valid until"),
        F::Province => ("Provinsi", "Province"),
        F::Regency => ("Kabupaten/kota", "Regency"),
        F::TaxOffice => ("KPP", "Tax office"),
        F::RegisteredDate => ("Terdaftar", "Registered"),
    }
}

/// Short names of checks and failures, for the chips of the queue: code, Bahasa Indonesia, English.
pub(super) const CHIPS: &[(&str, &str, &str)] = &[
    ("DOCUMENT_TYPE", "jenis dokumen", "kind of document"),
    ("DECLARED_TYPE", "bukan yang dinyatakan", "not as declared"),
    ("TYPED_FORM", "formulir ketikan", "typed form"),
    ("SEVERAL_CARDS", "dua kartu", "two cards"),
    ("CARD_LAYOUT", "susunan tak dikenal", "unknown layout"),
    ("OVERPRINT", "tulisan melintang", "overprint"),
    ("PHOTOCOPY", "fotokopi", "photocopy"),
    ("SCREEN", "foto layar", "screen"),
    ("MIRRORED", "tercermin", "mirrored"),
    ("CARD_COMPLETE", "terpotong", "cut off"),
    ("RESOLUTION", "terlalu kecil", "too small"),
    ("SHARPNESS", "kabur", "blurred"),
    ("GLARE", "silau", "glare"),
    ("DARKNESS", "gelap", "dark"),
    ("LEGIBILITY", "sulit dibaca", "hard to read"),
    ("REQUIRED_FIELDS", "data kurang", "fields missing"),
    ("FIELD_CONFIDENCE", "bacaan ragu", "unsure reading"),
    ("NUMBER_REPAIRED", "nomor diperbaiki", "number repaired"),
    ("NUMBER_OF_ZEROS", "nomor nol", "number of zeros"),
    ("CITIZEN_ABROAD", "NIT luar negeri", "citizen abroad"),
    ("NIK_FORMAT", "bentuk NIK", "NIK format"),
    ("NIK_PROVINCE", "provinsi NIK", "NIK province"),
    ("NIK_REGION", "wilayah NIK", "NIK region"),
    ("NIK_BIRTH_DATE", "tanggal di NIK", "date in NIK"),
    ("NIK_SERIAL", "nomor urut NIK", "NIK serial"),
    ("NIK_MATCHES_BIRTH_DATE", "NIK ≠ tanggal lahir", "NIK ≠ date of birth"),
    ("BIRTH_DATE_CORRECTED", "tanggal dibetulkan", "date corrected"),
    ("NIK_MATCHES_GENDER", "NIK ≠ jenis kelamin", "NIK ≠ sex"),
    ("NIK_MATCHES_REGION", "NIK ≠ wilayah", "NIK ≠ region"),
    ("BIRTH_DATE", "tanggal lahir", "date of birth"),
    ("AGE", "umur", "age"),
    ("VALIDITY", "masa berlaku", "validity"),
    ("VOCABULARY", "isian tak dikenal", "unknown entry"),
    ("REGION_NAMES", "nama wilayah", "region names"),
    ("NPWP_FORMAT", "bentuk NPWP", "NPWP format"),
    ("NPWP_CHECK_DIGIT", "digit cek NPWP", "NPWP check digit"),
    ("NPWP16_MATCHES", "nomor tidak sama", "numbers differ"),
    ("SPOUSE_NUMBER", "NPWP suami", "husband's NPWP"),
    ("REGISTERED_DATE", "tanggal terdaftar", "registration date"),
    ("SECOND_READING", "tanpa bacaan kedua", "no second reading"),
];

#[cfg(test)]
mod tests {
    use filot_cards::checks::CheckCode;

    use super::*;

    #[test]
    fn every_check_has_a_chip() {
        let codes: Vec<_> = CheckCode::all().iter().map(|code| serde_json::to_value(code).unwrap()).collect();
        let chips: Vec<_> = CHIPS.iter().map(|chip| serde_json::Value::from(chip.0)).collect();
        assert_eq!(codes, chips);
    }
}
