//! Runs of recognised characters that parsing cuts, joins and repairs.

use filot_ocr::page::{Glyph, Line, Rect};

/// Characters of one or more rows, in reading order, with their alternatives.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Span {
    /// Never without a candidate.
    pub(crate) glyphs: Vec<Glyph>,
    /// Every row's first glyph and box, from top to bottom.
    pub(crate) rows: Vec<(usize, Rect)>,
}

impl Span {
    /// The characters of a line. A line that breaks its own promises (a glyph per character, finite positions) is mended
    /// rather than trusted.
    pub(crate) fn from_line(line: &Line) -> Self {
        let rect = tidy(&line.rect);
        let chars: Vec<char> = line.text.chars().collect();
        let step = rect.width() / chars.len().max(1) as f32;
        let whole = line.glyphs.len() == chars.len();
        let glyphs = chars
            .iter()
            .enumerate()
            .map(|(place, &c)| {
                let given = whole.then(|| &line.glyphs[place]);
                let mut candidates: Vec<(char, f32)> =
                    given.map(|glyph| glyph.candidates.clone()).unwrap_or_default();
                candidates.retain(|(_, probability)| probability.is_finite());
                if candidates.first().is_none_or(|(first, _)| *first != c) {
                    let confidence = if line.confidence.is_finite() { line.confidence } else { 0.0 };
                    candidates.retain(|(other, _)| *other != c);
                    candidates.insert(0, (c, confidence));
                }
                for (_, probability) in &mut candidates {
                    *probability = probability.clamp(0.0, 1.0);
                }
                let even = (rect.x0 + step * place as f32, rect.x0 + step * (place + 1) as f32);
                let (x0, x1) = given
                    .map(|glyph| (glyph.x0, glyph.x1))
                    .filter(|(x0, x1)| x0.is_finite() && x1.is_finite())
                    .unwrap_or(even);
                let (x0, x1) = (x0.clamp(-1e6, 1e6), x1.clamp(-1e6, 1e6));
                Glyph { candidates, x0: x0.min(x1), x1: x0.max(x1) }
            })
            .collect();
        Self { glyphs, rows: vec![(0, rect)] }
    }

    /// The best reading.
    pub(crate) fn text(&self) -> String {
        self.glyphs.iter().map(first).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.glyphs.len()
    }

    /// Whether it holds nothing but blanks.
    pub(crate) fn is_blank(&self) -> bool {
        self.glyphs.iter().all(|glyph| first(glyph) == ' ')
    }

    /// The characters `from..to` (indices beyond the end are cut), without blanks at the ends.
    pub(crate) fn slice(&self, from: usize, to: usize) -> Self {
        let to = to.min(self.glyphs.len());
        let from = from.min(to);
        let visible = |glyph: &Glyph| first(glyph) != ' ';
        let start = self.glyphs[from..to].iter().position(visible).map_or(to, |place| from + place);
        let end = self.glyphs[from..to].iter().rposition(visible).map_or(start, |place| from + place + 1);
        let mut rows = Vec::new();
        for (row, &(head, rect)) in self.rows.iter().enumerate() {
            let tail = self.rows.get(row + 1).map_or(self.glyphs.len(), |next| next.0);
            let (head, tail) = (head.max(start), tail.min(end));
            if head < tail {
                let part = &self.glyphs[head..tail];
                let x0 = part.iter().map(|glyph| glyph.x0).fold(f32::INFINITY, f32::min);
                let x1 = part.iter().map(|glyph| glyph.x1).fold(f32::NEG_INFINITY, f32::max);
                rows.push((head - start, Rect { x0, x1, ..rect }));
            }
        }
        Self { glyphs: self.glyphs[start..end].to_vec(), rows }
    }

    /// One after the other, a blank between them.
    pub(crate) fn join(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut joined = Self::default();
        for part in parts {
            if part.is_blank() {
                continue;
            }
            if let (Some(last), Some(next)) = (joined.glyphs.last(), part.glyphs.first()) {
                joined.glyphs.push(Glyph {
                    candidates: vec![(' ', 1.0)],
                    x0: last.x1,
                    x1: next.x0.max(last.x1),
                });
            }
            let offset = joined.glyphs.len();
            joined.rows.extend(part.rows.into_iter().map(|(head, rect)| (head + offset, rect)));
            joined.glyphs.extend(part.glyphs);
        }
        joined
    }

    /// The box around all of it.
    pub(crate) fn rect(&self) -> Rect {
        self.rows.iter().map(|row| row.1).reduce(|a, b| a.union(&b)).unwrap_or_default()
    }

    /// Pieces that stand apart: where the centres of neighbouring visible characters are farther apart than a character
    /// is wide and `limit` besides. Extents alone do not show it, as recognisers stretch characters towards each other.
    pub(crate) fn split_at_gaps(&self, limit: f32) -> Vec<Self> {
        let mut widths: Vec<f32> = self.glyphs.iter().map(|glyph| glyph.x1 - glyph.x0).collect();
        widths.sort_by(f32::total_cmp);
        let width = widths.get(widths.len() / 2).copied().unwrap_or(0.0);
        let mut parts = Vec::new();
        let mut start = 0;
        let mut previous: Option<f32> = None;
        for (place, glyph) in self.glyphs.iter().enumerate() {
            if first(glyph) == ' ' {
                continue;
            }
            let centre = (glyph.x0 + glyph.x1) / 2.0;
            if previous.is_some_and(|before| centre - before > width + limit) {
                parts.push(self.slice(start, place));
                start = place;
            }
            previous = Some(centre);
        }
        parts.push(self.slice(start, self.glyphs.len()));
        parts.retain(|part| !part.is_blank());
        parts
    }
}

/// The character that a glyph was read as.
pub(crate) fn first(glyph: &Glyph) -> char {
    glyph.candidates.first().map_or(' ', |candidate| candidate.0)
}

/// The probability of the character that a glyph was read as.
pub(crate) fn belief(glyph: &Glyph) -> f32 {
    glyph.candidates.first().map_or(0.0, |candidate| candidate.1)
}

/// A rectangle with finite corners in the right order.
fn tidy(rect: &Rect) -> Rect {
    let finite = |v: f32| if v.is_finite() { v.clamp(-1e6, 1e6) } else { 0.0 };
    let (x0, x1, y0, y1) = (finite(rect.x0), finite(rect.x1), finite(rect.y0), finite(rect.y1));
    Rect { x0: x0.min(x1), y0: y0.min(y1), x1: x0.max(x1), y1: y0.max(y1) }
}

/// A row of text as a recogniser gives it that believes in each character alike.
#[cfg(test)]
pub(crate) fn as_read(text: &str, belief: f32) -> Span {
    let rect = Rect { x0: 0.0, y0: 0.0, x1: 10.0, y1: 2.0 };
    let text = text.to_owned();
    Span::from_line(&Line { text, confidence: belief, glyphs: Vec::new(), rect, angle: 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line {
            text: text.to_owned(),
            confidence: 0.9,
            glyphs: Vec::new(),
            rect: Rect { x0: 10.0, y0: 0.0, x1: 10.0 + text.len() as f32, y1: 2.0 },
            angle: 0.0,
        }
    }

    #[test]
    fn a_line_without_glyphs_gets_even_ones() {
        let span = Span::from_line(&line("AB C"));
        assert_eq!(span.text(), "AB C");
        assert_eq!((span.glyphs[1].x0, span.glyphs[1].x1), (11.0, 12.0));
        assert_eq!(span.glyphs[0].candidates, [('A', 0.9)]);
    }

    #[test]
    fn broken_lines_are_mended() {
        let mut broken = line("AB");
        broken.rect.x1 = f32::NAN;
        broken.glyphs = vec![
            Glyph { candidates: vec![], x0: f32::INFINITY, x1: 0.0 },
            Glyph { candidates: vec![('8', f32::NAN), ('B', 7.0)], x0: 5.0, x1: 4.0 },
        ];
        let span = Span::from_line(&broken);
        assert_eq!(span.text(), "AB");
        assert!(
            span.glyphs
                .iter()
                .all(|glyph| glyph.x0.is_finite() && glyph.x0 <= glyph.x1 && belief(glyph) <= 1.0)
        );
    }

    #[test]
    fn slices_lose_blanks_and_keep_their_box() {
        let span = Span::from_line(&line("AB : CD"));
        let part = span.slice(4, 99);
        assert_eq!(part.text(), "CD");
        assert_eq!((part.rect().x0, part.rect().x1), (15.0, 17.0));
        assert!(span.slice(9, 3).is_blank());
        let mut below = line("EF");
        below.rect = Rect { x0: 10.0, y0: 3.0, x1: 12.0, y1: 5.0 };
        let both = Span::join([part, Span::from_line(&below)]);
        assert_eq!(both.text(), "CD EF");
        assert_eq!(both.slice(3, 5).rows, [(0, below.rect)]);
        assert_eq!(both.slice(1, 4).rows.len(), 2);
    }

    #[test]
    fn wide_gaps_part_what_stands_apart() {
        let mut read = line("AB CD");
        read.glyphs = [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (9.0, 10.0), (10.0, 11.0)]
            .into_iter()
            .zip("AB CD".chars())
            .map(|((x0, x1), c)| Glyph { candidates: vec![(c, 0.9)], x0, x1 })
            .collect();
        let parts = Span::from_line(&read).split_at_gaps(3.0);
        assert_eq!(parts.iter().map(Span::text).collect::<Vec<_>>(), ["AB", "CD"]);
        assert_eq!(Span::join(parts).text(), "AB CD");
    }
}
