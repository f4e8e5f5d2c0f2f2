//! Invented street addresses and village names in the styles that cards show.

use crate::dice::Dice;

const STREETS: &str = "SUDIRMAN|AHMAD YANI|DIPONEGORO|MERDEKA|PAHLAWAN|GAJAH MADA|IMAM BONJOL|MAWAR|MELATI|KENANGA|\
    CENDRAWASIH|R.A. KARTINI|LET. JEND. S. PARMAN|P. ANTASARI|TEUKU UMAR|VETERAN|RAYA BOGOR|\
    PASAR MINGGU|JATI JAYA|SWADAYA|KH. WAHID HASYIM|PROF. DR. SOEPOMO|GATOT SUBROTO|HASANUDDIN|\
    BRIGJEN KATAMSO|PANGERAN DIPONEGORO|GARUDA|ANGGREK|CEMPAKA PUTIH|PERINTIS KEMERDEKAAN|\
    TRANS SULAWESI|SAM RATULANGI|YOS SUDARSO|DR. WAHIDIN|KYAI MOJO|SUKARNO HATTA|RAYA LINTAS TIMUR";
const ESTATES: &str = "GRIYA ASRI|PONDOK UNGU PERMAI|BUMI SERPONG DAMAI|PURI DOMAS|MUTIARA GADING TIMUR|\
    TAMAN HARAPAN BARU|VILLA NUSA INDAH|BUKIT CIMANGGU|GRAHA KENCANA|PERMATA HIJAU|DUTA KRANJI|\
    BTN MINASA UPA|CITRA RAYA|TELUK PINANG INDAH";
const HAMLETS: &str = "KRAJAN|SUKAMAJU|BABAKAN|KARANGANYAR|MUARA BARU|KUTA PASEH|TEGAL REJO|SUMBER AGUNG|CIKADU|\
    PONDOK BENDA|BATU MERAH|NGEMPLAK|PASIR PUTIH|LEBAK WANGI|TANJUNG HARAPAN|SAWAH BARU|\
    KEBON JERUK";
const ROMAN: &str = "I|II|III|IV|V";

/// The street line of an address.
pub(crate) fn street(dice: &mut Dice) -> String {
    match dice.int(0, 99) {
        0..=44 => {
            let mut line = format!("{} {}", dice.word("JL.|JL|JLN.|JALAN|JLN"), dice.word(STREETS));
            if dice.chance(0.15) {
                line = format!("{line} {}", dice.word(ROMAN));
            }
            if dice.chance(0.75) {
                line = format!("{line} {}", house(dice));
            }
            if dice.chance(0.08) {
                line =
                    format!("{line} LT.{} UNIT {}{}", dice.int(1, 30), dice.int(1, 30), dice.word("A|B|C"));
            } else if dice.chance(0.05) {
                line = format!("{line} KM {},{}", dice.int(2, 40), dice.int(0, 9));
            }
            line
        }
        45..=57 => {
            let lane = format!("{} {}", dice.word("GG.|GG|GANG"), dice.word(STREETS));
            let lane = if dice.chance(0.6) { format!("{lane} {}", dice.word(ROMAN)) } else { lane };
            if dice.chance(0.7) { format!("{lane} {}", house(dice)) } else { lane }
        }
        58..=75 => {
            let kind = dice.word("PERUM|PERUMAHAN|PRM|KOMP.|KOMPLEK|PERUM.");
            let block = format!("{}{}", dice.word("A|B|C|D|E|F|G|H|AA"), dice.int(1, 32));
            let number = dice.int(1, 60);
            match dice.int(0, 2) {
                0 => format!("{kind} {} BLOK {block} NO.{number}", dice.word(ESTATES)),
                1 => format!("{kind} {} BLOK {block}/{number}", dice.word(ESTATES)),
                _ => format!("{kind} {} BLOK {block} NO {number}", dice.word(ESTATES)),
            }
        }
        _ => {
            let kind = dice.word("DUSUN|DSN|DSN.|DK.|KP.|KP|KAMPUNG|LINGK.|LINGKUNGAN|BR.|JORONG|GAMPONG");
            let mut line = format!("{kind} {}", dice.word(HAMLETS));
            if dice.chance(0.35) {
                line = format!("{line} {}", dice.word(ROMAN));
            }
            if dice.chance(0.3) {
                line = format!("{line} {}", house(dice));
            }
            line
        }
    }
}

fn house(dice: &mut Dice) -> String {
    let mut number = dice.int(1, 240).to_string();
    if dice.chance(0.12) {
        number.push_str(dice.word("A|B|C"));
    }
    if dice.chance(0.08) {
        number = format!("{number}/{}", dice.int(1, 40));
    }
    format!("{}{number}", dice.word("NO.|NO. |NO |NO|NO."))
}

/// `003/012`: neighbourhood and community number.
pub(crate) fn rt_rw(dice: &mut Dice) -> (u32, u32) {
    let most = if dice.chance(0.8) { 25 } else { 120 };
    (dice.int(1, 30), dice.int(1, most))
}

/// A village name made of usual parts.
pub(crate) fn village(dice: &mut Dice) -> String {
    const JOINED: &str = "SUKA|KARANG|SUMBER|WONO|SIDO|KEDUNG|TAMBAK|BANJAR|PURWO|MARGO|JATI";
    const TAILS: &str = "MAJU|JAYA|SARI|REJO|MULYA|HARJO|KERTO|AGUNG|ANYAR|WANGI|SARI|ASRI";
    const HEADS: &str = "TANJUNG|BATU|PASIR|MUARA|LUBUK|BUKIT|TELUK|KOTA|PULAU|KAMPUNG|SUNGAI";
    const SECONDS: &str = "BARU|PANJANG|MERAH|INDAH|RAYA|TINGGI|PINANG|HARAPAN|GADING|PUTIH";
    const CI: &str = "CIKENDUNG|CIPAKU|CILANDAK|CIMANGGIS|CIBEUREUM|CIGADUNG|CIHERANG";
    const OTHER: &str = "LANGKAP|TRIMURTI|SIROMI|MOLEONO|BENTENG|NEROH|GAMBANGAN|PURASEDA|NGARGOSARI|KUBU|LAMBARA|\
    MANUNGGAL|OEBUFU|WAMENA KOTA|YABASO|ABEPURA";
    const SIDES: &str = "UTARA|SELATAN|TIMUR|BARAT|KIDUL|LOR|WETAN|KULON|TENGAH|HILIR|I|II";
    let base = match dice.int(0, 9) {
        0..=3 => format!("{}{}", dice.word(JOINED), dice.word(TAILS)),
        4..=6 => format!("{} {}", dice.word(HEADS), dice.word(SECONDS)),
        7 => (dice.word(CI)).to_owned(),
        _ => (dice.word(OTHER)).to_owned(),
    };
    if dice.chance(0.22) { format!("{base} {}", dice.word(SIDES)) } else { base }
}
