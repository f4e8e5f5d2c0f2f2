//! What the characters of one field were taken to mean, before the fields are held against each other.

use filot_ocr::page::Glyph;

use crate::confusion;
use crate::digits::Digit;
use crate::field::{Repair, Source};
use crate::region;
use crate::span::{Span, belief, first};
use crate::vocabulary;

/// How a value stands to the rules of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// It breaks them.
    Broken,
    /// There are none, or they do not know it.
    Open,
    /// It is in the field's list or passes its check.
    Valid,
}

/// The meaning of a field's characters.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) value: String,
    /// As read.
    pub(crate) original: String,
    pub(crate) repairs: Vec<Repair>,
    pub(crate) standing: Standing,
    /// Expected number of wrong characters in `value`, as the recogniser sees it.
    pub(crate) doubt: f32,
    /// Where it stands.
    pub(crate) span: Span,
    pub(crate) source: Source,
    /// The places of a number, for repairs among their alternatives.
    pub(crate) digits: Vec<Digit>,
}

impl Reading {
    pub(crate) fn new(value: String, span: &Span, standing: Standing) -> Self {
        Self {
            value,
            original: span.text(),
            repairs: Vec::new(),
            standing,
            doubt: doubt(span),
            span: span.clone(),
            source: Source::First,
            digits: Vec::new(),
        }
    }

    /// Whether it is a [`dash`].
    pub(crate) fn is_dash(&self) -> bool {
        self.standing == Standing::Open && self.value.chars().all(|c| matches!(c, '-' | '/'))
    }

    pub(crate) fn repaired(mut self, repair: Repair) -> Self {
        if !self.repairs.contains(&repair) {
            self.repairs.push(repair);
        }
        self
    }

    /// A number: its doubt is that of its digits.
    pub(crate) fn number(value: String, span: &Span, digits: Vec<Digit>, standing: Standing) -> Self {
        let mut reading = Self::new(value, span, standing);
        reading.doubt = digits.iter().map(|digit| 1.0 - digit.belief()).sum();
        if digits.iter().any(|digit| digit.look_alike) {
            reading.repairs.push(Repair::LookAlike);
        }
        reading.digits = digits;
        reading
    }
}

/// A reading that the recogniser doubts less than this, in wrong characters, is not taken for a word that is farther away
/// than the other, also in characters: a letter passed over is a slip, a letter that looks like no other is another word.
const SURE_DOUBT: f32 = 0.25;
const SURE_DISTANCE: f32 = 0.95;

/// Expected number of wrong letters and digits.
pub(crate) fn doubt(span: &Span) -> f32 {
    span.glyphs
        .iter()
        .filter(|glyph| first(glyph).is_ascii_alphanumeric())
        .map(|glyph| 1.0 - belief(glyph))
        .sum()
}

/// What kind of text a field holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    /// No digits: names of people.
    Letters,
    /// Digits only as words of their own: names of places.
    Words,
    /// Anything.
    Mixed,
}

/// Free text as cards print it: capitals, single blanks, a blank after every comma, no stray marks at the ends.
pub(crate) fn free_text(span: &Span, text: Text) -> Option<Reading> {
    let chars: Vec<char> = span.glyphs.iter().map(first).collect();
    let mut value = String::with_capacity(chars.len());
    let mut look_alike = false;
    for (place, &c) in chars.iter().enumerate() {
        let next_to = |test: fn(&char) -> bool| {
            place > 0 && test(&chars[place - 1]) || chars.get(place + 1).is_some_and(test)
        };
        let in_word = next_to(char::is_ascii_alphabetic);
        let within_word = in_word && !next_to(|c| !c.is_ascii_alphabetic());
        let replaced = match c {
            '`' | '"' => '\'',
            'l' | '|' if text == Text::Mixed && place > 0 && chars[place - 1].is_ascii_digit() => '1',
            'O' | 'o' if text == Text::Mixed && place > 0 && chars[place - 1].is_ascii_digit() => '0',
            '0'..='9' if text == Text::Letters || text == Text::Words && in_word => {
                confusion::as_capital(c).unwrap_or(c)
            }
            'l' | '|' | '!' if text != Text::Mixed || in_word => 'I',
            '/' if text != Text::Mixed && within_word && !is_slash(&span.glyphs, place) => 'I',
            _ => c.to_ascii_uppercase(),
        };
        look_alike |=
            replaced != c.to_ascii_uppercase() && (c.is_ascii_alphanumeric() || matches!(c, '|' | '/'));
        if replaced == ' ' && (value.is_empty() || value.ends_with(' ')) {
            continue;
        }
        if value.ends_with(',') && replaced.is_ascii_alphabetic() {
            value.push(' ');
        }
        value.push(replaced);
    }
    let mut value = trim(&value);
    if !value.chars().any(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    if text == Text::Letters && ends_with_apostrophe(span) {
        value.push('\'');
    }
    let reading = Reading::new(value, span, Standing::Open);
    Some(if look_alike { reading.repaired(Repair::LookAlike) } else { reading })
}

/// Belief from which a mark is one, and not a speck or a thin letter.
const SURE_MARK: f32 = 0.9;

/// Whether a slash within a word is what is printed, as between two names, and not a leaning I: read surely, with no thin
/// letter among its alternatives, and with the end of a word before it and the beginning of one behind.
fn is_slash(glyphs: &[Glyph], place: usize) -> bool {
    const LETTERS: usize = 2;
    let letter = |glyph: &&Glyph| first(glyph).is_ascii_alphabetic();
    let before = glyphs[..place].iter().rev().take_while(letter).count();
    let behind = glyphs[place + 1..].iter().take_while(letter).count();
    let thin = |(c, probability): &(char, f32)| *probability >= 0.02 && matches!(c, 'I' | 'l' | '1' | '|');
    before.min(behind) >= LETTERS
        && belief(&glyphs[place]) >= SURE_MARK
        && !glyphs[place].candidates.iter().any(thin)
}

/// Whether a name ends with an apostrophe, as some of Arabic origin do. Specks are hardly believed in, or stand apart.
fn ends_with_apostrophe(span: &Span) -> bool {
    let [.., letter, mark] = &span.glyphs[..] else { return false };
    matches!(first(mark), '\'' | '`') && belief(mark) >= SURE_MARK && first(letter).is_ascii_alphabetic()
}

/// A dash where a value might be, which is what is printed. `None` where anything else stands there.
pub(crate) fn dash(span: &Span) -> Option<Reading> {
    let visible: Vec<&Glyph> = span.glyphs.iter().filter(|glyph| first(glyph) != ' ').collect();
    let value: String =
        visible.iter().map(|glyph| if is_dash(first(glyph)) { '-' } else { first(glyph) }).collect();
    if !matches!(value.as_str(), "-" | "--" | "-/-") {
        return None;
    }
    // Any word that another look finds there is worth more.
    let mut reading = Reading::new(value.replace("--", vocabulary::DASH), span, Standing::Open);
    reading.doubt = visible.iter().map(|glyph| 1.0 - belief(glyph)).sum();
    Some(reading)
}

/// Whether a character is a dash, however long the reader takes it to be.
pub(crate) fn is_dash(c: char) -> bool {
    matches!(c, '-' | '_' | '~' | '=')
}

/// Without marks that cannot begin or end a value. A point ends an abbreviation only.
pub(crate) fn trim(value: &str) -> String {
    let value = value.trim_start_matches(|c: char| !c.is_ascii_alphanumeric() && c != '(');
    let value =
        value.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | ')' | '\''));
    let mut value = value.trim_end_matches([' ', '\'']);
    while let Some(rest) = value.strip_suffix(" .") {
        value = rest.trim_end();
    }
    let last_word = value.trim_end_matches('.').rsplit([' ', ',']).next().unwrap_or_default();
    let abbreviates = last_word.len() <= 3 || last_word.contains('.');
    if abbreviates { value.to_owned() } else { value.trim_end_matches(['.', ' ']).to_owned() }
}

/// A value of a closed list, spelt as the list spells it.
pub(crate) fn listed(span: &Span, lists: &[&[&'static str]]) -> Option<Reading> {
    let found = lists
        .iter()
        .filter_map(|list| vocabulary::closest(&span.glyphs, list))
        .min_by(|a, b| a.distance.total_cmp(&b.distance))?;
    // What was read surely and differs all the same is another word, not a misreading.
    if found.distance > SURE_DISTANCE && doubt(span) < SURE_DOUBT {
        return None;
    }
    Some(from_entry(span, found.entry, found.distance, Repair::Vocabulary))
}

/// The reading of a span as `entry`, at the given distance.
pub(crate) fn from_entry(span: &Span, entry: &str, distance: f32, repair: Repair) -> Reading {
    let read = span.text();
    let mut reading = Reading::new(entry.to_owned(), span, Standing::Valid);
    if region::fold(&read) != region::fold(entry) {
        reading = reading.repaired(repair);
        reading.doubt = 0.3 * distance;
    } else {
        // Every character is confirmed by the list.
        reading.doubt *= 0.1;
        let blanks = |text: &str| text.chars().filter(|c| *c == ' ').count();
        if blanks(&read) < blanks(entry) {
            reading = reading.repaired(Repair::Spacing);
        }
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::as_read;

    fn span(text: &str) -> Span {
        as_read(text, 0.95)
    }

    fn sure(text: &str) -> Span {
        let mut span = span(text);
        for glyph in &mut span.glyphs {
            glyph.candidates[0].1 = 0.99;
        }
        span
    }

    fn value(text: &str, kind: Text) -> Option<String> {
        free_text(&span(text), kind).map(|reading| reading.value)
    }

    #[test]
    fn names_hold_no_digits() {
        assert_eq!(value("BUD1 SANT0SO", Text::Letters).as_deref(), Some("BUDI SANTOSO"));
        assert_eq!(free_text(&span("BUD1"), Text::Letters).unwrap().repairs, [Repair::LookAlike]);
        assert_eq!(value("S/TI L/ONG", Text::Letters).as_deref(), Some("SITI LIONG"));
        assert_eq!(value("NI`MATUL", Text::Letters).as_deref(), Some("NI'MATUL"));
        assert_eq!(value("WULAN SALIM,S.H.,M.H.", Text::Letters).as_deref(), Some("WULAN SALIM, S.H., M.H."));
        assert_eq!(value("-: SUPARMI .", Text::Letters).as_deref(), Some("SUPARMI"));
        assert_eq!(value("DADANG, A.MD.KEP", Text::Letters).as_deref(), Some("DADANG, A.MD.KEP"));
    }

    #[test]
    fn marks_of_names_stay_as_printed() {
        assert_eq!(value("SITI RAHAYU/BAMBANG", Text::Letters).as_deref(), Some("SITI RAHAYU/BAMBANG"));
        let mut leaning = span("SITI RAHAY/BAMBANG");
        leaning.glyphs[10].candidates = vec![('/', 0.95), ('I', 0.04)];
        let read = free_text(&leaning, Text::Letters).unwrap();
        assert_eq!(read.value, "SITI RAHAYIBAMBANG");
        assert_eq!(value("NI'MAH'", Text::Letters).as_deref(), Some("NI'MAH'"));
        assert_eq!(value("MA'RUF", Text::Letters).as_deref(), Some("MA'RUF"));
        assert_eq!(value("SUPARMI '", Text::Letters).as_deref(), Some("SUPARMI"), "a speck");
        let mut speck = span("SUPARMI'");
        speck.glyphs[7].candidates[0].1 = 0.5;
        assert_eq!(free_text(&speck, Text::Letters).unwrap().value, "SUPARMI");
        for name in ["A", "I", "I GEDE", "I KETUT", "D'ARTAGNAN"] {
            assert_eq!(value(name, Text::Letters).as_deref(), Some(name));
        }
    }

    #[test]
    fn a_dash_is_a_value() {
        let read = |text: &str| dash(&span(text)).map(|reading| reading.value);
        assert_eq!(read("-").as_deref(), Some("-"));
        assert_eq!(read(" - / - ").as_deref(), Some("-/-"));
        assert_eq!(read("_").as_deref(), Some("-"));
        for text in ["", ":", ".", "- A", "005/-", "JL -"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_true_entry_never_becomes_another() {
        let lists =
            [vocabulary::RELIGION, vocabulary::MARITAL_STATUS, vocabulary::OCCUPATION, vocabulary::COUNTRY];
        for list in lists {
            for entry in list {
                assert_eq!(listed(&sure(entry), &[list]).unwrap().value, *entry);
                assert_eq!(listed(&span(entry), &[list]).unwrap().value, *entry);
            }
        }
        // Words that are in no list.
        for (word, list) in [
            ("HINDUISTIC", vocabulary::RELIGION),
            ("JUDAISM", vocabulary::RELIGION),
            ("GURU NGAJI", vocabulary::OCCUPATION),
            ("KAWIN SIRI", vocabulary::MARITAL_STATUS),
            ("NIGERIEN", vocabulary::COUNTRY),
            ("SLOVONIA", vocabulary::COUNTRY),
        ] {
            assert!(listed(&sure(word), &[list]).is_none(), "{word}");
        }
    }

    #[test]
    fn place_names_keep_numbers_of_their_own() {
        assert_eq!(value("30 ILIR", Text::Words).as_deref(), Some("30 ILIR"));
        assert_eq!(value("PADAN6 TAMBAK", Text::Words).as_deref(), Some("PADANG TAMBAK"));
    }

    #[test]
    fn addresses_keep_their_digits() {
        assert_eq!(value("JL. MERDEKA NO198", Text::Mixed).as_deref(), Some("JL. MERDEKA NO198"));
        assert_eq!(value("GG. MELATI NO.1O8", Text::Mixed).as_deref(), Some("GG. MELATI NO.108"));
        assert_eq!(value("BLOK B23/41 RT/RW 001", Text::Mixed).as_deref(), Some("BLOK B23/41 RT/RW 001"));
        assert_eq!(value(" ", Text::Mixed), None);
        assert_eq!(value(":-.", Text::Mixed), None);
    }

    #[test]
    fn lists_correct_what_is_close() {
        let exact = listed(&span("BURUHHARIANLEPAS"), &[vocabulary::OCCUPATION]).unwrap();
        assert_eq!(
            (exact.value.as_str(), exact.repairs.as_slice()),
            ("BURUH HARIAN LEPAS", &[Repair::Spacing][..])
        );
        let near = listed(&span("WIRA5WASTA"), &[vocabulary::OCCUPATION]).unwrap();
        assert_eq!((near.value.as_str(), near.repairs.as_slice()), ("WIRASWASTA", &[Repair::Vocabulary][..]));
        // Read surely, and a word of its own.
        assert!(listed(&sure("CONSULTING"), &[vocabulary::OCCUPATION]).is_none());
        assert!(listed(&span("ASTRONOT"), &[vocabulary::OCCUPATION]).is_none());
    }
}
