//! A card's fields between the first reading and the verdict.

use std::collections::BTreeMap;

use filot_ocr::engine::{self, Alphabet, Region, View};
use filot_ocr::page::{Frame, Framing, Line, Page, Quad, Rect};

use crate::confidence;
use crate::digits::Digit;
use crate::field::{Field, FieldKey, Fields, Source};
use crate::kind::{self, DeclaredType, DocumentType};
use crate::ktp;
use crate::npwp_card;
use crate::reading::Reading;
use crate::region;
use crate::span::Span;
use crate::vocabulary;

/// Fields below this confidence are read a second time.
const UNSURE: f32 = 0.93;
/// So many unsure fields make the reading of a card poor.
const POOR_KTP: usize = 5;
const POOR_NPWP: usize = 3;
/// The fields of an NPWP card that each design has.
const POOR_NPWP_FIELDS: [FieldKey; 5] =
    [FieldKey::NpwpNumber, FieldKey::Name, FieldKey::Address, FieldKey::TaxOffice, FieldKey::RegisteredDate];

/// The closer looks at what is unsure, one after the other as long as something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Words stretched, numbers as they are.
    Second,
    /// Smoothed and evened out.
    Third,
    /// Words as they are, numbers stretched.
    Fourth,
}

impl Round {
    pub const ALL: [Self; 3] = [Self::Second, Self::Third, Self::Fourth];

    fn view(self, alphabet: Alphabet) -> View {
        let number = matches!(alphabet, Alphabet::Digits | Alphabet::Numeric);
        match (self, number) {
            (Self::Third, _) => View::Even,
            (Self::Second, true) | (Self::Fourth, false) => View::Plain,
            (Self::Second, false) | (Self::Fourth, true) => View::Wide,
        }
    }
}

/// What one or more readings of a page gave so far.
#[derive(Clone, Debug)]
pub struct Draft {
    pub(crate) page: Page,
    pub(crate) declared: DeclaredType,
    pub(crate) kind: kind::Evidence,
    ktp: ktp::align::Sheet,
    npwp: npwp_card::parse::Sheet,
    first: BTreeMap<FieldKey, Span>,
    /// What later, closer readings said, in their order.
    further: Vec<BTreeMap<FieldKey, Span>>,
    /// The fields as both readings and the rules that bind them together say.
    readings: BTreeMap<FieldKey, Reading>,
    reread: bool,
    /// Writing far larger than the card's own; `None` if nobody looked for it.
    large_text: Option<Vec<Line>>,
    /// The picture had to be mirrored to be read.
    mirrored: bool,
    /// Another card of the kind lies beside it.
    several: bool,
}

impl Draft {
    /// Parses a first reading.
    pub fn new(page: &Page, declared: DeclaredType) -> Self {
        let ktp = ktp::align::Sheet::new(page);
        let npwp = npwp_card::parse::Sheet::new(page);
        let kind = kind::Evidence::new(page, &ktp, &npwp);
        let first = match kind.document_type(declared) {
            DocumentType::Npwp => npwp.spans.clone(),
            DocumentType::Ktp => ktp::spans(&ktp),
            DocumentType::Other => BTreeMap::new(),
        };
        let mut draft = Self {
            page: page.clone(),
            declared,
            kind,
            ktp,
            npwp,
            first,
            further: Vec::new(),
            readings: BTreeMap::new(),
            reread: false,
            large_text: None,
            mirrored: false,
            several: false,
        };
        draft.readings = draft.resolve();
        draft
    }

    /// What the photo shows, as far as the text says.
    pub fn document_type(&self) -> DocumentType {
        self.kind.document_type(self.declared)
    }

    /// Places worth a second look, in page coordinates: fields that are unsure, that fail their own rules, or that are
    /// missing although their neighbours say where they must be. A field on two rows comes twice, the upper row first.
    pub fn weak_regions(&self, round: Round) -> Vec<(FieldKey, Region)> {
        let weak = |key: FieldKey| self.is_unsure(key);
        let mut regions = match self.document_type() {
            DocumentType::Ktp => ktp::regions::weak(&self.ktp, &self.first, round != Round::Second, weak),
            DocumentType::Npwp => npwp_card::regions::weak(&self.npwp, weak),
            DocumentType::Other => Vec::new(),
        };
        for (key, region) in &mut regions {
            region.view = round.view(region.alphabet);
            // The dash behind a label is seen best where it is longest.
            if round == Round::Third && !self.first.contains_key(key) && vocabulary::may_be_dash(*key) {
                region.view = View::Wide;
            }
        }
        regions
    }

    /// What a card is that was perhaps not looked at as it lies, or whose lines were not told apart: too many of its fields
    /// are unsure. A picture so poor that nothing was made of it counts as what it was declared to be.
    fn poor(&self) -> Option<DocumentType> {
        let kind = match self.document_type() {
            DocumentType::Other if self.perhaps_unreadable() => self.declared.document()?,
            kind => kind,
        };
        let (keys, limit) = match kind {
            DocumentType::Ktp => (&FieldKey::KTP[..], POOR_KTP),
            DocumentType::Npwp => (&POOR_NPWP_FIELDS[..], POOR_NPWP),
            DocumentType::Other => return None,
        };
        (keys.iter().filter(|key| self.is_unsure(**key)).count() >= limit).then_some(kind)
    }

    fn is_unsure(&self, key: FieldKey) -> bool {
        self.readings.get(&key).is_none_or(|reading| confidence::of(reading) < UNSURE)
    }

    /// Where the corners of a poorly read card must be, in pixels of the photo; `None` if the card's own edges were found,
    /// or nothing that was read tells.
    pub fn corners(&self) -> Option<Quad> {
        let sought = self.page.frame.framing == Framing::Text && self.poor() == Some(DocumentType::Ktp);
        sought.then(|| ktp::grid::corners(&self.page))?
    }

    /// Where the rows of a poorly read card must be.
    pub fn grid(&self, reading: &engine::Reading, view: View) -> Option<Vec<Region>> {
        match self.poor()? {
            DocumentType::Ktp => ktp::grid::regions(&self.page, reading, view),
            DocumentType::Npwp => npwp_card::rows::regions(reading, view),
            DocumentType::Other => None,
        }
    }

    /// Takes in what stands in the rows of [`Draft::grid`], field by field, where it is better supported.
    pub fn merge_grid(&mut self, rows: Vec<Option<Line>>) {
        let mut page = self.page.clone();
        let rows = rows.into_iter().flatten().filter_map(ktp::grid::trimmed);
        let top = ktp::grid::top(&page);
        page.lines.retain(|line| top.is_some_and(|top| line.rect.centre().y < top));
        page.lines.extend(rows);
        let mut other = Self::new(&page, self.declared);
        if self.document_type() == DocumentType::Other {
            *self = other;
            return;
        }
        if other.document_type() != self.document_type() {
            return;
        }
        if other.promise() > self.promise() {
            std::mem::swap(&mut self.ktp, &mut other.ktp);
            std::mem::swap(&mut self.npwp, &mut other.npwp);
            std::mem::swap(&mut self.first, &mut other.first);
        }
        self.further.push(other.first);
        self.readings = self.resolve();
    }

    /// Expected number of right fields.
    pub fn promise(&self) -> f32 {
        self.readings.values().map(confidence::of).sum()
    }

    /// Takes in a second reading, field by field, where it is better supported than the first. Rows of the same field
    /// come in the order of [`Draft::weak_regions`].
    pub fn merge(&mut self, second: Vec<(FieldKey, Option<Line>)>) {
        self.reread = true;
        let mut found: BTreeMap<FieldKey, Span> = BTreeMap::new();
        let mut rows: BTreeMap<FieldKey, Vec<Option<Span>>> = BTreeMap::new();
        for (key, line) in second {
            rows.entry(key).or_default().push(line.map(|line| Span::from_line(&line)));
        }
        for (key, rows) in rows {
            // A value of two rows of which one was illegible is no reading of the value.
            let Some(rows) = rows.into_iter().collect::<Option<Vec<Span>>>() else { continue };
            match self.document_type() {
                DocumentType::Ktp => found.extend(ktp::second_reading(&self.ktp, key, rows)),
                DocumentType::Npwp => {
                    let parts = rows.iter().map(|row| npwp_card::parse::without_label(key, row));
                    let value = Span::join(parts);
                    if !value.is_blank() {
                        found.insert(key, value);
                    }
                }
                DocumentType::Other => {}
            }
        }
        self.further.push(found);
        self.readings = self.resolve();
    }

    fn resolve(&self) -> BTreeMap<FieldKey, Reading> {
        match self.document_type() {
            DocumentType::Ktp => ktp::readings(&self.first, &self.further),
            DocumentType::Npwp => npwp_card::readings(&self.first, &self.further),
            DocumentType::Other => BTreeMap::new(),
        }
    }

    /// The fields in the form of results.
    pub(crate) fn fields(&self) -> Fields {
        let field = |reading: &Reading| Field {
            confidence: confidence::of(reading),
            quad: self.page.frame.photo_quad(&reading.span.rect()),
            value: reading.value.clone(),
            original: reading.original.clone(),
            source: reading.source,
            repairs: reading.repairs.clone(),
        };
        self.readings.iter().map(|(key, reading)| (*key, field(reading))).collect()
    }

    /// Takes in what a look for writing across the card found; `None` if the engine cannot look. Without such a look a
    /// card is not approved.
    pub fn look_across(&mut self, found: Option<Vec<Line>>) {
        self.large_text = found;
    }

    /// Takes note that the page was read in a mirror, and where it lies in the photo as it is.
    pub(crate) fn set_mirrored(&mut self, frame: Frame) {
        self.mirrored = true;
        self.page.frame = frame;
    }

    /// Takes note of another card of the kind beside it.
    pub(crate) fn set_several(&mut self) {
        self.several = true;
    }

    pub(crate) fn is_one_of_several(&self) -> bool {
        self.several
    }

    pub(crate) fn is_mirrored(&self) -> bool {
        self.mirrored
    }

    /// Returns whether the order of the card's rows is one of those that are known; `None` where there is only one.
    pub(crate) fn layout_is_known(&self) -> Option<bool> {
        (self.document_type() == DocumentType::Npwp).then_some(self.npwp.layout_known)
    }

    /// Returns the boxes of all rows of values, in page coordinates.
    pub(crate) fn value_boxes(&self) -> Vec<Rect> {
        let spans = self.first.values().chain(self.readings.values().map(|reading| &reading.span));
        spans.flat_map(|span| span.rows.iter().map(|row| row.1)).collect()
    }

    pub(crate) fn large_text(&self) -> Option<&[Line]> {
        self.large_text.as_deref()
    }

    /// Whether so little of the card was found that it may have been looked at in the wrong place.
    pub(crate) fn misses_much(&self) -> bool {
        let usual = match self.document_type() {
            DocumentType::Ktp => 13,
            DocumentType::Npwp => 5,
            // An outline with nothing in it was not the card's; a picture without any text shows none.
            DocumentType::Other => {
                return !self.page.lines.is_empty() || self.page.frame.framing == Framing::Card;
            }
        };
        self.fields().len() < usual
    }

    /// Whether a second reading was taken in.
    pub(crate) fn reread(&self) -> bool {
        self.reread
    }

    /// Nothing of a card was read, but the picture is so poor that there may be one.
    pub(crate) fn perhaps_unreadable(&self) -> bool {
        self.kind.perhaps_unreadable && !self.kind.typed_form && self.kind.other_title.is_none()
    }

    /// Whether there is text that makes no words and no card: it may be mirrored.
    pub(crate) fn may_be_mirrored(&self) -> bool {
        let lines = &self.page.lines;
        self.document_type() == DocumentType::Other && !lines.is_empty() && self.kind.is_nonsense()
    }

    /// Whether the text leaves no doubt which card it is.
    pub(crate) fn is_clear(&self) -> bool {
        self.kind.strength(self.document_type()) == kind::Strength::Clear
    }

    /// The 22-digit number of a place of business, if the card carries one.
    pub(crate) fn nitku(&self) -> Option<String> {
        self.npwp.nitku.as_ref().map(Span::text)
    }
}

/// The better of two readings of a field. Numbers of the same length are merged place by place with `number`.
pub(crate) fn choose(
    first: Option<Reading>,
    second: Option<Reading>,
    number: impl Fn(&Reading, Vec<Digit>) -> Option<Reading>,
) -> Option<Reading> {
    let (first, mut second) = match (first, second) {
        (Some(first), Some(second)) => (first, second),
        (Some(only), None) => return Some(only),
        (None, Some(mut only)) => {
            only.source = Source::Second;
            return Some(only);
        }
        (None, None) => return None,
    };
    second.source = Source::Second;
    // A dash is also what is left of a word that was hardly seen.
    match (first.is_dash(), second.is_dash()) {
        (true, false) => return Some(second),
        (false, true) => return Some(first),
        _ => {}
    }
    let same = region::fold(&first.value) == region::fold(&second.value);
    if !first.digits.is_empty() && first.digits.len() == second.digits.len() {
        let merged = first.digits.iter().zip(&second.digits).map(|(a, b)| a.merged(b)).collect();
        let base = if second.doubt < first.doubt { &second } else { &first };
        if let Some(mut merged) = number(base, merged) {
            merged.original.clone_from(&first.original);
            if same {
                merged.source = Source::Both;
                merged.doubt = confidence::confirmed(first.doubt.min(second.doubt));
            } else {
                merged.source = base.source;
            }
            return Some(merged);
        }
    }
    let mut better = match first.standing.cmp(&second.standing) {
        std::cmp::Ordering::Greater => first.clone(),
        std::cmp::Ordering::Less => second.clone(),
        // A region that cuts a value short reads the rest with confidence.
        std::cmp::Ordering::Equal if second.value.len() * 4 < first.value.len() * 3 => first.clone(),
        std::cmp::Ordering::Equal if second.doubt < 0.7 * first.doubt => second.clone(),
        std::cmp::Ordering::Equal => first.clone(),
    };
    if same {
        better.source = Source::Both;
        better.doubt = confidence::confirmed(first.doubt.min(second.doubt));
    }
    Some(better)
}
