//! Occupations as the civil registry lists them (Permendagri 109/2019, form F-1.01), weighted roughly as in life.

use jiff::civil::Date;

use crate::dice::Dice;

/// Common occupations with weights; the rest of the list shares what is left.
const COMMON: &[(&str, f32)] = &[
    ("KARYAWAN SWASTA", 20.0),
    ("WIRASWASTA", 17.0),
    ("MENGURUS RUMAH TANGGA", 12.0),
    ("PELAJAR/MAHASISWA", 9.0),
    ("PETANI/PEKEBUN", 7.0),
    ("BURUH HARIAN LEPAS", 6.0),
    ("BELUM/TIDAK BEKERJA", 5.0),
    ("PEGAWAI NEGERI SIPIL", 4.0),
    ("GURU", 3.0),
    ("PEDAGANG", 2.0),
    ("NELAYAN/PERIKANAN", 1.5),
    ("PENSIUNAN", 1.5),
];

const OTHERS: &str = "TENTARA NASIONAL INDONESIA|KEPOLISIAN RI|PERDAGANGAN|PETERNAK|INDUSTRI|KONSTRUKSI|\
    TRANSPORTASI|KARYAWAN BUMN|KARYAWAN BUMD|KARYAWAN HONORER|BURUH TANI/PERKEBUNAN|\
    BURUH NELAYAN/PERIKANAN|BURUH PETERNAKAN|PEMBANTU RUMAH TANGGA|TUKANG CUKUR|TUKANG LISTRIK|\
    TUKANG BATU|TUKANG KAYU|TUKANG SOL SEPATU|TUKANG LAS/PANDAI BESI|TUKANG JAHIT|TUKANG GIGI|\
    PENATA RIAS|PENATA BUSANA|PENATA RAMBUT|MEKANIK|SENIMAN|TABIB|PARAJI|PERANCANG BUSANA|\
    PENTERJEMAH|IMAM MASJID|PENDETA|PASTOR|WARTAWAN|USTADZ/MUBALIGH|JURU MASAK|PROMOTOR ACARA|\
    ANGGOTA DPRD KABUPATEN/KOTA|DOSEN|PILOT|PENGACARA|NOTARIS|ARSITEK|AKUNTAN|KONSULTAN|DOKTER|\
    BIDAN|PERAWAT|APOTEKER|PSIKIATER/PSIKOLOG|PENYIAR TELEVISI|PENYIAR RADIO|PELAUT|PENELITI|\
    SOPIR|PIALANG|PARANORMAL|PERANGKAT DESA|KEPALA DESA|BIARAWATI|ANGGOTA LEMBAGA TINGGI|ARTIS|\
    ATLIT|CHEFF|MANAJER|TENAGA TATA USAHA|OPERATOR|PEKERJA PENGOLAHAN, KERAJINAN|TEKNISI|\
    ASISTEN AHLI|LAINNYA|PEGAWAI SWASTA";

/// An occupation that fits the age on the day of issue.
pub(crate) fn draw(dice: &mut Dice, birth: Date, issued: Date, female: bool) -> String {
    let age = i32::from(issued.year()) - i32::from(birth.year());
    if age < 22 && dice.chance(0.7) {
        return "PELAJAR/MAHASISWA".into();
    }
    loop {
        let job = if dice.chance(0.8) { *dice.weighted(COMMON) } else { dice.word(OTHERS) };
        let fits = match job {
            "MENGURUS RUMAH TANGGA" | "BIDAN" | "BIARAWATI" => female,
            "PENSIUNAN" => age > 52,
            "PELAJAR/MAHASISWA" => age < 35,
            "IMAM MASJID" | "PASTOR" => !female,
            _ => true,
        };
        if fits {
            return job.to_owned();
        }
    }
}
