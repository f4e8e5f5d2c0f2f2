//! Invented people's names of many cultures. Parts are common; their combinations are nobody in particular.

use crate::dice::Dice;

/// How a people of the archipelago forms names.
struct Culture {
    male: &'static str,
    female: &'static str,
    /// Further given names, of both sexes.
    middle: &'static str,
    /// Family or clan names; empty where there are none.
    family: &'static str,
    faith: Faith,
}

/// Which religions are usual with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Faith {
    Muslim,
    Christian,
    Hindu,
    Chinese,
    Any,
}

const JAVANESE: Culture = Culture {
    male: "SUTRISNO|BAMBANG|SLAMET|WAGIMAN|JOKO|AGUS|EKO|HERU|SUGENG|TRI|WAHYU|BUDI|SUPARNO|NGATIMIN|\
        PAIJO|SUKARDI|TEGUH|YULIANTO|DWI|RADEN MAS|PUJIONO|KASIRAN|MULYONO|HARIYANTO|GUNTUR",
    female: "SRI|ENDANG|SUPARMI|PONIRAH|WULAN|SITI|NINGSIH|RETNO|DWI|TRI|WAHYUNI|LESTARI|SULASTRI|\
        TUMINAH|SUMIATI|RR. AYU|KARTINI|YUNI|INDAH|PUJI|TUKIYEM",
    middle: "SETYA|ADI|NUR|CATUR|JAYA|WIRA|BAYU|KARTIKA|PERMATA|CAHYA|MULYA|PANCA|ANGGUN|ENDAH|RAHAYU|\
        PRASETYA|AJI",
    family: "WIBOWO|NUGROHO|SANTOSO|SETIAWAN|KUSUMANINGRUM|NOTONEGORO|WIDODO|PRASETYO|HANDAYANI|\
        PUSPITASARI|WULANDARI|SASTROWARDOYO|MANGUNKUSUMO|DJOJOHADIKUSUMO|HARTONO|PURNOMO|RAHAYU|\
        UTOMO|SURYANINGRAT|KUNCORO|TJOKROAMINOTO",
    faith: Faith::Any,
};

const MUSLIM: Culture = Culture {
    male: "MUHAMMAD|AHMAD|ABDUL|MUH.|M.|MOCH.|RIZKY|FAJAR|ILHAM|HASAN|UMAR|YUSUF|FAUZAN|ZAINAL|\
        SYAIFUL|NURDIN|IBRAHIM|MA'RUF|NU'MAN|JA'FAR|IQBAL|QORI",
    female: "SITI|NUR|NI'MATUL|FATIMAH|AISYAH|KHADIJAH|ZAHRA|NABILA|ROHMAH|UMMI|HALIMATUS|LAILATUL|\
        QONI'AH|SA'DIYAH|ULFA|MUTI'AH|NURUL|DIAN|RIZKA",
    middle: "RAHMAN|HIDAYAT|AKBAR|ARIF|KHOIRUL|FITRI|AULIA|MAULANA|SALIM|NI'MAH|HIDAYATUL|ISLAMI|ANWAR|\
        FIRDAUS|AL|MUSTOFA",
    family: "HIDAYATULLAH|RAMADHAN|KHOLIFAH|SALIM|RAHMAT|HALIM|MA'ARIF|SYAFI'I|HAKIM|AL-HABSYI|ASSEGAF|\
        BAHARUDDIN|JUM'AH|MUBAROK|ALATAS|QOMARUDDIN|ZULKARNAEN",
    faith: Faith::Muslim,
};

const SUNDANESE: Culture = Culture {
    male: "ASEP|DADANG|UJANG|CECEP|TATANG|ENGKOS|DEDEN|IWAN|YAYAN|AANG|OTONG",
    female: "NENG|EUIS|IIS|AI|ENOK|CUCU|IMAS|TETI|YOYOH|LILIS|ELIS",
    middle: "SURYA|KOMARA|PERMANA|WINATA|NURHAYATI|RUHIMAT|GUNAWAN|SUKMA",
    family: "KARTASASMITA|WIRAATMADJA|SUPRIATNA|SUHERMAN|KOSASIH|PERMANA|ROSMAYANTI|SUGANDA",
    faith: Faith::Muslim,
};

const BATAK: Culture = Culture {
    male: "PARLINDUNGAN|TOGAR|POLTAK|MARTHIN|HOTMAN|SAHAT|BONAR|JHONSON|RUDI|TIGOR",
    female: "ROMAULI|TIURMA|MEGA|CHRISTINA|DUMASARI|LAMTIUR|RISMA|NURHAIDA|YULI",
    middle: "PARULIAN|TUA|HASIHOLAN|EVA|ROTUA|MARULI|SARI|DEWI",
    family: "SIREGAR|HUTAGALUNG|SIMANJUNTAK|TAMPUBOLON|MANURUNG|SITUMORANG|PANJAITAN|LUMBANTORUAN|\
        NASUTION|HARAHAP|BR. GINTING|BR SEMBIRING|SINAGA|PASARIBU|TARIGAN|LUBIS",
    faith: Faith::Christian,
};

const BALINESE: Culture = Culture {
    male: "I WAYAN|I MADE|I NYOMAN|I KETUT|I GUSTI NGURAH|IDA BAGUS|ANAK AGUNG GDE|I PUTU|I GEDE",
    female: "NI WAYAN|NI MADE|NI LUH|NI KETUT|NI PUTU|I GUSTI AYU|IDA AYU|DESAK MADE",
    middle: "SUKA|ARTA|DARMA|EKA|MERTA|OKA|RAI|YASA|SUKERTI",
    family: "SUARDANA|ARYANI|WIJAYA|SUDIRTA|PUSPAWATI|ADNYANA|MAHENDRA|DEWI|PARTAMA",
    faith: Faith::Hindu,
};

const CHINESE: Culture = Culture {
    male: "HENDRA|ANDREAS|KEVIN|ROBERT|WILLIAM|LIM|TAN|KWEE|STEVEN|SUSANTO|OEI",
    female: "LINDA|MEILIANA|ANGELINA|JESSICA|SHERLY|LIE|TJHIN|VIVIAN|YENNY|FELICIA",
    middle: "KIAN|SIOE|MEI|LIONG|BENG|HWA|PUTRA|CHANDRA|SWAN",
    family: "TANUWIDJAJA|WIJAYA|LESMANA|HALIM|GUNAWAN|SALIM|TJANDRA|KURNIAWAN|HARTANTO|LIEM",
    faith: Faith::Chinese,
};

const EASTERN: Culture = Culture {
    male: "FERDINAND|YOHANIS|YAKOBUS|MARKUS|OKTOVIANUS|PAULUS|SEMUEL|DOMINGGUS|BERNADUS|NATALIS",
    female: "YOSINA|MARIA|ELISABETH|FRANSISKA|ANASTASIA|NOVITA|DORTEA|MARLINA|YULIANA|ORPA",
    middle: "GORETI|DE|DA|MARTHEN|DWI|ALOYSIUS|KORNELIS|TRI|BENEDIKTA",
    family: "WANGGAI|PATTINASARANY|RUMBIAK|TUASIKAL|DA SILVA|NAINGGOLAN|LATUHARHARY|MATULESSY|KOGOYA|\
        WENDA|TABUNI|MANUPUTTY|FERNANDEZ|LAPIAN|WOWOR|RUMAROPEN|BAY",
    faith: Faith::Christian,
};

const COASTAL: Culture = Culture {
    male: "TEUKU|ANDI|LA ODE|DATUK|DAENG|SYAMSUL|BUYUNG|H. ANDI|ZULKIFLI|RUSLI",
    female: "CUT|WA ODE|ANDI|UPIK|RATNA|BESSE|ROSMALA|NURLAELA|YULIANI|PUTRI",
    middle: "MUHAMMAD|TENRI|INTAN|BASO|NYAK|CHANDRA|BULAN|DEWI|MELATI",
    family: "PATTAWARI|MAPPASISSI|CHANIAGO|SIKUMBANG|MANGKUBUMI|TANJUNG|POHAN|DJALIL|KARAENG",
    faith: Faith::Muslim,
};

const FRONT_TITLES: &str = "H.|HJ.|DR.|DRS.|DRA.|IR.|PROF. DR.|DR. H.|KH.|dr.";
const BACK_TITLES: &str = ", S.H.|, S.E.|, SE|, S.KOM|, ST|, S.PD.I|, S.H., M.H.|, M.M.|, A.MD.KEB|, M.SI| SH|\
    , S.PD., M.PD.|, S.SOS";

/// A name and the religions usual with it. At most 60 letters, as the rules on names allow.
pub(crate) fn draw(dice: &mut Dice, female: bool) -> (String, Faith) {
    let culture = *dice.weighted(&[
        (&JAVANESE, 30.0),
        (&MUSLIM, 26.0),
        (&SUNDANESE, 10.0),
        (&BATAK, 9.0),
        (&BALINESE, 6.0),
        (&CHINESE, 5.0),
        (&EASTERN, 8.0),
        (&COASTAL, 6.0),
    ]);
    let first = dice.word(if female { culture.female } else { culture.male });
    // One-word names are common with the older Javanese; everyone else has two to five words.
    let words = if std::ptr::eq(culture, &JAVANESE) && dice.chance(0.12) && !first.contains(['.', ' ']) {
        1
    } else {
        *dice.weighted(&[(2, 42.0), (3, 36.0), (4, 16.0), (5, 6.0)])
    };
    let mut name = first.to_owned();
    for _ in 2..words {
        let word = dice.word(culture.middle);
        if !name.ends_with(word) {
            name = format!("{name} {word}");
        }
    }
    if words > 1 {
        name = format!("{name} {}", dice.word(culture.family));
    }
    if culture.faith == Faith::Muslim && words == 2 && dice.chance(0.06) {
        let link = if female { "BINTI" } else { "BIN" };
        name = format!("{name} {link} {}", dice.word(MUSLIM.male));
    }
    if dice.chance(0.08) {
        let fitting = |title: &&str| {
            let for_women = matches!(*title, "HJ." | "DRA.");
            let for_men = matches!(*title, "H." | "DRS." | "DR. H." | "KH.");
            let pilgrim = matches!(*title, "H." | "HJ." | "DR. H." | "KH.");
            (if female { !for_men } else { !for_women })
                && (!pilgrim || matches!(culture.faith, Faith::Muslim | Faith::Any))
        };
        let titles: Vec<_> = FRONT_TITLES.split('|').filter(fitting).collect();
        name = format!("{} {name}", dice.pick(&titles).to_uppercase());
    }
    if dice.chance(0.08) {
        name.push_str(dice.word(BACK_TITLES));
    }
    while name.len() > 60 {
        let cut = name.rfind(' ').unwrap_or(60);
        name.truncate(cut);
    }
    (name.trim_end_matches([',', ' ']).to_owned(), culture.faith)
}

/// Names of foreign residents, as in the machine-readable part of a passport: plain capitals.
pub(crate) fn draw_foreign(dice: &mut Dice, female: bool) -> (String, &'static str) {
    const PEOPLE: &[[&str; 4]] = &[
        ["JEPANG", "HIROSHI|KENJI|TAKASHI", "YUKO|AKIKO|NAOMI", "TANAKA|WATANABE|KOBAYASHI"],
        ["AUSTRALIA", "LIAM JAMES|OLIVER", "CHARLOTTE|EMILY ROSE", "O'CONNOR|MITCHELL|WALKER"],
        ["BELANDA", "PIETER|JAN WILLEM", "ANNEKE|SASKIA", "VAN DER MEER|DE VRIES|JANSEN"],
        ["INDIA", "RAJESH KUMAR|SANJAY", "PRIYA|LAKSHMI", "SHARMA|PATEL|IYER"],
        ["KOREA SELATAN", "MIN HO|SUNG JIN", "JI WOO|HYE JIN", "KIM|PARK|CHOI"],
        ["AMERIKA SERIKAT", "MICHAEL ALAN|DAVID", "JENNIFER|SUSAN MARIE", "JOHNSON|MC CARTHY|LEE"],
        ["JERMAN", "KLAUS|STEFAN", "ULRIKE|PETRA", "SCHNEIDER|HOFFMANN|BAUER"],
        ["TIONGKOK", "WEI|JIAN GUO", "XIU YING|LI NA", "ZHANG|CHEN|HUANG"],
    ];
    let [country, men, women, families] = dice.pick(PEOPLE);
    let first = dice.word(if female { women } else { men });
    (format!("{first} {}", dice.word(families)), country)
}
