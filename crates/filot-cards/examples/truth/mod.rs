//! What a `truth.jsonl` calls things, for the examples that read one.

use filot_cards::field::FieldKey;

/// Names of the truth file and the fields they are about.
pub(crate) const NAMES: [(&str, FieldKey); 22] = [
    ("nik", FieldKey::Nik),
    ("nama", FieldKey::Name),
    ("tempat_lahir", FieldKey::BirthPlace),
    ("tanggal_lahir", FieldKey::BirthDate),
    ("jenis_kelamin", FieldKey::Gender),
    ("gol_darah", FieldKey::BloodType),
    ("alamat", FieldKey::Address),
    ("rt_rw", FieldKey::RtRw),
    ("kel_desa", FieldKey::Village),
    ("kecamatan", FieldKey::District),
    ("agama", FieldKey::Religion),
    ("status_perkawinan", FieldKey::MaritalStatus),
    ("pekerjaan", FieldKey::Occupation),
    ("kewarganegaraan", FieldKey::Nationality),
    ("berlaku_hingga", FieldKey::ValidUntil),
    ("provinsi", FieldKey::Province),
    ("kota", FieldKey::Regency),
    ("npwp", FieldKey::NpwpNumber),
    ("npwp16", FieldKey::Npwp16),
    ("kpp", FieldKey::TaxOffice),
    ("tanggal_terdaftar", FieldKey::RegisteredDate),
    ("kabupaten", FieldKey::Regency),
];
