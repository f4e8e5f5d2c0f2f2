//! Names of regions in a reading.

use crate::confusion;
use crate::field::Repair;
use crate::reading::{Reading, from_entry};
use crate::region;
use crate::span::Span;

/// Region names are corrected within this distance per letter, and with this lead over the next best.
const REGION_DISTANCE: f32 = 0.07;
const REGION_LEAD: f32 = 0.3;
/// Likewise among the few names of one regency or province.
const LOCAL_DISTANCE: f32 = 0.25;
const LOCAL_LEAD: f32 = 0.8;

/// When a reading is near enough to a region's name to be it.
pub(crate) struct Near {
    /// Names count without KABUPATEN or KOTA.
    pub(crate) bare: bool,
    /// Greatest distance per letter.
    pub(crate) distance: f32,
    /// Least distance to the next best name.
    pub(crate) lead: f32,
}

impl Near {
    /// Among the names of the whole country.
    pub(crate) const ANYWHERE: Self = Self { bare: false, distance: REGION_DISTANCE, lead: REGION_LEAD };
    /// Among the few names that the rest of the card leaves.
    pub(crate) const LOCAL: Self = Self { bare: false, distance: LOCAL_DISTANCE, lead: LOCAL_LEAD };
}

/// The nearest of the given region names, if one is near enough.
pub(crate) fn region_name(
    span: &Span,
    names: impl Iterator<Item = &'static region::Name> + Clone,
    near: &Near,
) -> Option<Reading> {
    let bare = near.bare;
    let read = region::fold(&span.text());
    let folded = |name: &'static region::Name| if bare { &name.folded_bare } else { &name.folded };
    let printed =
        |name: &'static region::Name| if bare { region::split_kind(&name.printed).1 } else { &name.printed };
    if let Some(name) = names.clone().find(|name| *folded(name) == read) {
        return Some(from_entry(span, printed(name), 0.0, Repair::RegionName));
    }
    let mut best: Option<(f32, &'static region::Name)> = None;
    let mut second = f32::INFINITY;
    // Much longer or shorter names cannot be near.
    let most = 1 + (near.distance * read.len() as f32) as usize;
    for name in names.filter(|name| folded(name).len().abs_diff(read.len()) <= most) {
        let distance = confusion::distance(&span.glyphs, printed(name));
        match best {
            Some((_, found)) if folded(found) == folded(name) => {}
            Some((least, _)) if distance >= least => second = second.min(distance),
            _ => {
                second = best.map_or(second, |(least, _)| least);
                best = Some((distance, name));
            }
        }
    }
    let (distance, name) = best?;
    let limit = (near.distance * confusion::weight(printed(name))).max(0.45);
    (distance <= limit && second - distance > near.lead)
        .then(|| from_entry(span, printed(name), distance, Repair::RegionName))
}

#[cfg(test)]
mod tests {
    use filot_ocr::page::{Line, Rect};

    use super::*;

    fn read(text: &str, code: &str, digits: usize, near: &Near) -> Option<String> {
        let rect = Rect { x0: 0.0, y0: 0.0, x1: 10.0, y1: 2.0 };
        let line = Line { text: text.to_owned(), confidence: 0.9, glyphs: Vec::new(), rect, angle: 0.0 };
        region_name(&Span::from_line(&line), region::names(code, digits), near).map(|reading| reading.value)
    }

    #[test]
    fn among_few_names_a_poor_reading_finds_its_own() {
        assert_eq!(read("LEUWLANG", "3201", 6, &Near::LOCAL).as_deref(), Some("LEUWILIANG"));
        assert_eq!(read("QQQQQQ", "3201", 6, &Near::LOCAL), None);
    }

    #[test]
    fn among_all_names_only_a_slip_is_mended() {
        let bare = Near { bare: true, ..Near::ANYWHERE };
        assert_eq!(read("SUKABUM", "", 4, &bare).as_deref(), Some("SUKABUMI"));
        assert_eq!(read("SUKXBAN", "", 4, &bare), None);
    }
}
