//! Tesseract's table of words, turned into lines of characters.

use crate::page::{Glyph, Line, Rect};

/// A gap of this many line heights separates two pieces of text that only happen to stand side by side.
const COLUMN_GAP: f32 = 1.5;

/// One word in pixels of the picture that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    text: String,
    /// 0..=1.
    confidence: f32,
    rect: Rect,
    /// Page, block, paragraph and line: the same for words of one line.
    line: [u32; 4],
}

/// Reads the table; rows that are not words, or not understood, are left out.
///
/// Columns: level, page, block, paragraph, line, word, left, top, width, height, confidence, text.
pub(super) fn words(table: &str) -> Vec<Word> {
    table.lines().filter_map(word).collect()
}

fn word(row: &str) -> Option<Word> {
    let columns: Vec<&str> = row.splitn(12, '\t').collect();
    let number = |i: usize| columns.get(i)?.parse::<u32>().ok();
    if number(0)? != 5 {
        return None;
    }
    let text: String = columns.get(11)?.chars().filter_map(ascii).collect();
    if text.is_empty() {
        return None;
    }
    let (left, top, width, height) =
        (number(6)? as f32, number(7)? as f32, number(8)? as f32, number(9)? as f32);
    let confidence = columns.get(10)?.parse::<f32>().ok().filter(|c| c.is_finite())?;
    Some(Word {
        text,
        confidence: (confidence / 100.0).clamp(0.0, 1.0),
        rect: Rect { x0: left, y0: top, x1: left + width, y1: top + height },
        line: [number(1)?, number(2)?, number(3)?, number(4)?],
    })
}

/// Printable ASCII without blanks; typographic variants become the plain character.
fn ascii(c: char) -> Option<char> {
    match c {
        '!'..='~' => Some(c),
        '\u{2018}' | '\u{2019}' => Some('\''),
        '\u{201C}' | '\u{201D}' => Some('"'),
        '\u{2013}' | '\u{2014}' => Some('-'),
        _ => None,
    }
}

/// Lines in page coordinates: a pixel is `unit` wide, the picture's corner is that of `area`.
pub(super) fn lines(words: Vec<Word>, unit: f32, area: &Rect) -> Vec<Line> {
    words
        .chunk_by(|a, b| {
            let gap = b.rect.x0 - a.rect.x1;
            a.line == b.line && gap < COLUMN_GAP * a.rect.height().min(b.rect.height())
        })
        .filter_map(|words| line(words, unit, area))
        .collect()
}

/// All words as one line.
pub(super) fn one_line(words: Vec<Word>, unit: f32, area: &Rect) -> Option<Line> {
    line(&words, unit, area)
}

fn line(words: &[Word], unit: f32, area: &Rect) -> Option<Line> {
    let on_page = |r: &Rect| Rect {
        x0: area.x0 + r.x0 * unit,
        y0: area.y0 + r.y0 * unit,
        x1: area.x0 + r.x1 * unit,
        y1: area.y0 + r.y1 * unit,
    };
    let mut rect: Option<Rect> = None;
    let mut text = String::new();
    let mut glyphs: Vec<Glyph> = Vec::new();
    for word in words {
        let place = on_page(&word.rect);
        if let Some(last) = glyphs.last().map(|g| g.x1) {
            text.push(' ');
            glyphs.push(Glyph { candidates: vec![(' ', 1.0)], x0: last, x1: place.x0.max(last) });
        }
        // The table has no places of characters: the word's width is shared evenly.
        let width = place.width() / word.text.len() as f32;
        for (i, c) in word.text.chars().enumerate() {
            let x0 = place.x0 + width * i as f32;
            glyphs.push(Glyph { candidates: vec![(c, word.confidence)], x0, x1: x0 + width });
        }
        text.push_str(&word.text);
        rect = Some(rect.map_or(place, |r| r.union(&place)));
    }
    let letters: Vec<f32> =
        glyphs.iter().map(|g| g.candidates[0]).filter(|(c, _)| *c != ' ').map(|(_, p)| p).collect();
    let confidence = letters.iter().sum::<f32>() / letters.len().max(1) as f32;
    Some(Line { text, confidence, glyphs, rect: rect?, angle: 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext
1\t1\t0\t0\t0\t0\t0\t0\t400\t200\t-1\t
4\t1\t1\t1\t1\t0\t10\t10\t200\t20\t-1\t
5\t1\t1\t1\t1\t1\t10\t10\t60\t20\t90.5\tNI\u{2019}MA
5\t1\t1\t1\t1\t2\t80\t12\t40\t18\t70\tAJI
5\t1\t1\t1\t1\t3\t300\t10\t20\t20\t60\tA+
5\t1\t1\t1\t2\t1\t10\t50\t30\t20\t-1\t \t
5\t1\t1\t1\t2\t2\tx\t50\t30\t20\t40\tbad
";

    #[test]
    fn words_become_lines_of_characters() {
        let area = Rect { x0: 5.0, y0: 2.0, x1: 45.0, y1: 22.0 };
        let lines = lines(words(TABLE), 0.1, &area);
        assert_eq!(lines.iter().map(|l| l.text.as_str()).collect::<Vec<_>>(), ["NI'MA AJI", "A+"]);
        let first = &lines[0];
        assert_eq!(first.text.len(), first.glyphs.len());
        assert_eq!(first.rect, Rect { x0: 6.0, y0: 3.0, x1: 17.0, y1: 5.0 });
        assert!((first.glyphs[1].x0 - 7.2).abs() < 1e-4 && (first.glyphs[5].x0 - 12.0).abs() < 1e-4);
        assert_eq!(first.glyphs[0].candidates, [('N', 0.905)]);
        let mean = (5.0 * 0.905 + 3.0 * 0.7) / 8.0;
        assert!((first.confidence - mean).abs() < 1e-4);
    }

    #[test]
    fn nonsense_is_no_line() {
        for table in ["", "5\t1", "5\t1\t1\t1\t1\t1\t1\t1\t1\t1\tnan\tx", "\u{0}\t\t\t\t\t\t\t\t\t\t\t\t"] {
            let lines = lines(words(table), 1.0, &Rect::default());
            assert_eq!(lines, [], "{table:?}");
        }
        assert_eq!(one_line(Vec::new(), 1.0, &Rect::default()), None);
    }
}
