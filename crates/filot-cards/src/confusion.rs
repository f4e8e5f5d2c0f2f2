//! How likely a reader takes one character for another, and distances built on that.

use std::cell::Cell;
use std::sync::LazyLock;

use filot_ocr::page::Glyph;

use crate::span::first;

/// Alternatives of the recogniser below this probability are noise.
const ALTERNATIVE_FLOOR: f32 = 0.02;
/// Cost of a blank or a punctuation mark too many or too few.
const MARK: f32 = 0.1;
/// Cost of a letter or digit too many or too few.
pub(crate) const MISSING: f32 = 0.9;
/// Cost of a thin letter that was not read: recognisers pass over an `I` between two broad letters.
const MISSING_THIN: f32 = 0.45;
/// Cost of taking a character for one of the same shape.
const LOOK_ALIKE: f32 = 0.4;

/// Characters that print alike, in groups. A character may be in several.
const SHAPES: [&str; 22] = [
    "0OQDoU", "1Il|!i", "1IJLTl7", "2Z?z", "5Ss", "6Gb", "8B&", "9gq", "4A", "3E8", "CG(O", "EFB", "HNMW",
    "PRFD", "UVYW", "KXR", "TYI7", "ceo", "nhr", "uv", "tfi", "-~_=",
];

/// The digit that looks like `c`, where there is exactly one.
pub(crate) fn as_digit(c: char) -> Option<char> {
    Some(match c {
        '0'..='9' => c,
        'O' | 'o' | 'Q' | 'D' | 'U' => '0',
        'I' | 'l' | '|' | '!' | 'i' | 'J' | 'L' => '1',
        'Z' | 'z' => '2',
        'S' | 's' => '5',
        'G' | 'b' => '6',
        'T' | '?' => '7',
        'B' | '&' => '8',
        'g' | 'q' => '9',
        'A' => '4',
        'E' => '3',
        _ => return None,
    })
}

/// The capital that looks like the digit or small letter `c`, for fields that hold no digits.
pub(crate) fn as_capital(c: char) -> Option<char> {
    Some(match c {
        'A'..='Z' => c,
        '0' => 'O',
        '1' | 'l' | '|' | '!' => 'I',
        '2' => 'Z',
        '4' => 'A',
        '5' => 'S',
        '6' => 'G',
        '8' => 'B',
        'a'..='z' => c.to_ascii_uppercase(),
        _ => return None,
    })
}

/// Whether the two print alike.
pub(crate) fn alike(a: char, b: char) -> bool {
    let (a, b) = (a as usize, b as usize);
    a < 128 && b < 128 && ALIKE[a] >> b & 1 == 1
}

/// For each ASCII character the set of those that print like it, as bits: distances ask this millions of times a card.
static ALIKE: LazyLock<[u128; 128]> = LazyLock::new(|| {
    let print_alike = |a: char, b: char| {
        a.eq_ignore_ascii_case(&b)
            || SHAPES.iter().any(|shape| {
                let holds = |c: char| shape.contains(c) || shape.contains(c.to_ascii_uppercase());
                holds(a) && holds(b)
            })
    };
    std::array::from_fn(|a| {
        let set = (0..128u8).filter(|&b| print_alike(a as u8 as char, b as char));
        set.fold(0, |bits, b| bits | 1 << b)
    })
});

/// What it costs (0..=1) to say that `glyph` shows `target`: nothing if it was read so, little if the recogniser saw it as
/// an alternative or the two look alike.
pub(crate) fn substitution(glyph: &Glyph, target: char) -> f32 {
    let mut cost = 1.0_f32;
    for (place, &(c, probability)) in glyph.candidates.iter().enumerate() {
        if c.eq_ignore_ascii_case(&target) {
            if place == 0 {
                return 0.0;
            }
            if probability >= ALTERNATIVE_FLOOR {
                cost = cost.min(0.5 - 0.4 * probability.min(0.5));
            }
        } else if place == 0 && alike(c, target) {
            // A letter read with full conviction was hardly another letter; a digit among letters is a slip all the same.
            let sure = if c.is_ascii_digit() == target.is_ascii_digit() {
                (probability - 0.9).max(0.0) * 4.0
            } else {
                0.0
            };
            cost = cost.min(LOOK_ALIKE + sure);
        }
    }
    // A character the recogniser itself does not believe in is weak evidence against any other.
    let believed = glyph.candidates.first().map_or(0.0, |c| c.1);
    if believed < 0.5 { cost.min(0.6 + 0.4 * believed) } else { cost }
}

fn is_mark(c: char) -> bool {
    !c.is_ascii_alphanumeric()
}

/// Cost of a character of the target that was not read.
fn unread(c: char) -> f32 {
    if c == 'I' { MISSING_THIN } else { skip(c) }
}

/// Cost of a read character that the target does not have.
fn skip(c: char) -> f32 {
    if is_mark(c) { MARK } else { MISSING }
}

/// What [`prefix`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prefix {
    /// 1 for a perfect match, 0 or less for none.
    pub(crate) similarity: f32,
    /// Number of glyphs that the match takes.
    pub(crate) end: usize,
}

/// Letters and digits in `text`: what a distance is measured against.
pub(crate) fn weight(text: &str) -> f32 {
    text.chars().filter(|c| !is_mark(*c)).count().max(1) as f32
}

/// Confusion-weighted edit distance between the glyphs and the whole of `target`. Blanks and punctuation hardly count.
pub(crate) fn distance(glyphs: &[Glyph], target: &str) -> f32 {
    last_row(glyphs, target).last().copied().unwrap_or(0.0)
}

/// [`distance`] as 1 (the same) down to 0 or less.
pub(crate) fn similarity(glyphs: &[Glyph], target: &str) -> f32 {
    1.0 - distance(glyphs, target) / weight(target)
}

/// How well the glyphs begin with `target`, and where it ends.
pub(crate) fn prefix(glyphs: &[Glyph], target: &str) -> Prefix {
    // Glyphs far beyond the target's length cannot belong to it.
    let reach = glyphs.len().min(target.chars().count() * 3 / 2 + 2);
    let row = last_row(&glyphs[..reach], target);
    let mut best = Prefix { similarity: 0.0, end: 0 };
    for (end, cost) in row.iter().enumerate() {
        let similarity = 1.0 - cost / weight(target);
        if similarity > best.similarity {
            best = Prefix { similarity, end };
        }
    }
    best
}

/// Distance of `target` to each prefix of the glyphs; entry `n` is for the first `n`.
fn last_row(glyphs: &[Glyph], target: &str) -> Vec<f32> {
    let mut row = Vec::new();
    fill_row(&mut row, glyphs, target, |place, wanted| replacement(&glyphs[place], wanted), f32::INFINITY);
    row
}

/// [`last_row`] into `row`, given what it costs to say that a glyph shows a character. Gives up, with `false`, once all of
/// `row` is beyond `limit`: from there on distances only grow.
fn fill_row(
    row: &mut Vec<f32>,
    glyphs: &[Glyph],
    target: &str,
    replacement: impl Fn(usize, char) -> f32,
    limit: f32,
) -> bool {
    row.clear();
    row.push(0.0);
    for glyph in glyphs {
        row.push(row.last().copied().unwrap_or(0.0) + skip(first(glyph)));
    }
    for wanted in target.chars() {
        let unread = unread(wanted);
        let mut diagonal = row[0];
        row[0] += unread;
        let mut least = row[0];
        for (place, glyph) in glyphs.iter().enumerate() {
            let above = row[place + 1];
            let cost = (diagonal + replacement(place, wanted))
                .min(above + unread)
                .min(row[place] + skip(first(glyph)));
            row[place + 1] = cost;
            least = least.min(cost);
            diagonal = above;
        }
        if least > limit {
            return false;
        }
    }
    true
}

/// [`substitution`], but for marks, which hardly count.
fn replacement(glyph: &Glyph, wanted: char) -> f32 {
    let cost = substitution(glyph, wanted);
    if is_mark(wanted) && is_mark(first(glyph)) { cost.min(MARK) } else { cost }
}

/// Glyphs that are compared with many targets.
pub(crate) struct Compared<'a> {
    glyphs: &'a [Glyph],
    /// [`replacement`] of each glyph by each ASCII character, worked out when first asked for; NaN before.
    replacements: Vec<[Cell<f32>; 128]>,
    row: Vec<f32>,
}

impl<'a> Compared<'a> {
    pub(crate) fn new(glyphs: &'a [Glyph]) -> Self {
        let unknown = || std::array::from_fn(|_| Cell::new(f32::NAN));
        Self { glyphs, replacements: glyphs.iter().map(|_| unknown()).collect(), row: Vec::new() }
    }

    /// [`distance`], or nothing where it is beyond `limit`.
    pub(crate) fn distance(&mut self, target: &str, limit: f32) -> Option<f32> {
        let cost = |place: usize, wanted: char| {
            let Some(known) = self.replacements[place].get(wanted as usize) else {
                return replacement(&self.glyphs[place], wanted);
            };
            if known.get().is_nan() {
                known.set(replacement(&self.glyphs[place], wanted));
            }
            known.get()
        };
        let within = fill_row(&mut self.row, self.glyphs, target, cost, limit);
        self.row.last().copied().filter(|distance| within && *distance <= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glyphs(text: &str) -> Vec<Glyph> {
        text.chars().map(|c| Glyph { candidates: vec![(c, 0.99)], x0: 0.0, x1: 0.0 }).collect()
    }

    #[test]
    fn blanks_and_case_hardly_count() {
        assert!(similarity(&glyphs("BURUHHARIANLEPAS"), "BURUH HARIAN LEPAS") > 0.98);
        assert!(similarity(&glyphs("gol darah"), "Gol. Darah") > 0.98);
        assert_eq!(distance(&glyphs("ISLAM"), "ISLAM"), 0.0);
    }

    #[test]
    fn look_alikes_cost_less_than_strangers() {
        let alike = distance(&glyphs("1SLAM"), "ISLAM");
        let strange = distance(&glyphs("XSLAM"), "ISLAM");
        assert!(alike < strange && alike > 0.0);
    }

    #[test]
    fn a_thin_letter_is_missed_more_easily_than_a_broad_one() {
        assert!(distance(&glyphs("SUKABUM"), "SUKABUMI") < distance(&glyphs("SUKABU"), "SUKABUM"));
    }

    #[test]
    fn alternatives_of_the_recogniser_cost_less_than_look_alikes() {
        let mut read = glyphs("XSLAM");
        read[0].candidates = vec![('X', 0.55), ('I', 0.4)];
        assert!(distance(&read, "ISLAM") < distance(&glyphs("1SLAM"), "ISLAM"));
        // Below the floor an alternative is noise.
        read[0].candidates = vec![('X', 0.99), ('I', 0.001)];
        assert_eq!(distance(&read, "ISLAM"), 1.0);
    }

    #[test]
    fn prefix_stops_where_the_label_ends() {
        let found = prefix(&glyphs("Nama : BUDI"), "Nama");
        assert_eq!(found, Prefix { similarity: 1.0, end: 4 });
        let found = prefix(&glyphs("JenisKelaminPEREMPUAN"), "Jenis Kelamin");
        assert_eq!(found.end, 12);
        assert!(found.similarity > 0.98);
        let found = prefix(&glyphs("TempaVTgl Lahlr:BOGOR"), "Tempat/Tgl Lahir");
        assert_eq!(found.end, 15);
        assert!(found.similarity > 0.75, "{found:?}");
        assert!(prefix(&glyphs("KARYAWAN SWASTA"), "Nama").similarity < 0.5);
    }

    #[test]
    fn many_targets_give_the_same_distances_as_each_alone() {
        let read = glyphs("BURUH HARIAN LEP4S");
        let mut compared = Compared::new(&read);
        for target in ["BURUH HARIAN LEPAS", "BURUH TANI/PERKEBUNAN", "GURU", "", "CAFÉ"] {
            let alone = distance(&read, target);
            assert_eq!(compared.distance(target, f32::INFINITY), Some(alone), "{target}");
            assert_eq!(compared.distance(target, alone), Some(alone), "{target}");
            assert_eq!(compared.distance(target, alone - 0.01), None, "{target}");
        }
    }

    #[test]
    fn nothing_is_not_a_panic() {
        assert!(prefix(&[], "Nama").similarity < 0.2);
        assert_eq!(prefix(&glyphs("x"), ""), Prefix { similarity: 1.0, end: 0 });
        assert_eq!(distance(&[], ""), 0.0);
    }
}
