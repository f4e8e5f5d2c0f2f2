//! Checks that the entropy-coded data of a JPEG holds just the blocks that its frame promises (ITU-T T.81, annexes F and G).
//!
//! Decoders hide damage: behind a bad code they go on with shifted blocks, and fill what is missing with grey or with the
//! coarse steps of earlier scans. Such a picture looks like a card and reads like another one. So the codes are walked once
//! without turning them into pixels, which takes about half as long as decoding.

use super::super::ImageError;
use super::{next_marker, segment};

/// Bits of a code that are looked up at once.
const FAST: u32 = 9;
const BLOCK: usize = 64;

const CORRUPT: ImageError = ImageError::Corrupt("JPEG data");

/// Tells the codings that are decoded in the usual way from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// As nearly all are.
    Usual,
    /// Sequential with reduced colours in scans of their own, with more colour than brightness, or in thirds.
    Unusual,
}

/// Walks all scans of a file whose headers were found sound.
///
/// # Errors
/// `Truncated` where blocks are missing, `Corrupt` where a code is invalid or blocks are left over.
pub(super) fn check(bytes: &[u8]) -> Result<Coding, ImageError> {
    let mut walk = Walk::default();
    let mut at = 2;
    while let Some((marker, next)) = next_marker(bytes, at) {
        at = next;
        match marker {
            0x01 | 0xD0..=0xD8 => continue,
            0xD9 => break,
            _ => {}
        }
        // Nothing that is not followed may stay in the file: see `strip`.
        let content = segment(bytes, at).ok_or(ImageError::Truncated)?;
        at += 2 + content.len();
        match marker {
            0xC4 => walk.tables(content)?,
            0xC0..=0xC2 => walk.frame(content, marker == 0xC2)?,
            0xDD => walk.interval = usize::from(u16::from_be_bytes([byte(content, 0)?, byte(content, 1)?])),
            0xDA => at = walk.scan(content, bytes, at)?,
            _ => {}
        }
    }
    walk.complete()?;
    Ok(walk.coding())
}

fn byte(segment: &[u8], at: usize) -> Result<u8, ImageError> {
    segment.get(at).copied().ok_or(CORRUPT)
}

/// Keeps what the headers said so far and what the scans brought.
#[derive(Default)]
struct Walk {
    progressive: bool,
    components: Vec<Component>,
    /// Minimum coded units of an interleaved scan, across and down.
    units: (usize, usize),
    scans: usize,
    /// Units between restart markers; 0 for none.
    interval: usize,
    dc: [Option<Codes>; 4],
    ac: [Option<Codes>; 4],
}

struct Component {
    id: u8,
    across: usize,
    down: usize,
    /// Blocks that a scan of this component alone has, and those of whole units.
    own: (usize, usize),
    stride: usize,
    /// For each block of a progressive picture which coefficients are not zero.
    seen: Vec<u64>,
    /// For each coefficient how many low bits are still to come; `None` before its first scan.
    missing: [Option<u8>; BLOCK],
}

/// The part of the spectrum that a scan brings.
struct Band {
    from: usize,
    to: usize,
    /// Bits to come before this scan (0 for the first) and after it.
    high: u8,
    low: u8,
}

impl Walk {
    fn frame(&mut self, content: &[u8], progressive: bool) -> Result<(), ImageError> {
        let [_, h1, h0, w1, w0, count, parts @ ..] = content else { return Err(CORRUPT) };
        let (width, height) =
            (usize::from(u16::from_be_bytes([*w1, *w0])), usize::from(u16::from_be_bytes([*h1, *h0])));
        self.progressive = progressive;
        let parts: Vec<&[u8]> = parts.chunks_exact(3).take(usize::from(*count)).collect();
        let factors = |part: &[u8]| (usize::from(part[1] >> 4), usize::from(part[1] & 15));
        let most = parts.iter().map(|part| factors(part)).fold((1, 1), |m, f| (m.0.max(f.0), m.1.max(f.1)));
        self.units = (width.div_ceil(8 * most.0), height.div_ceil(8 * most.1));
        self.components = parts
            .into_iter()
            .map(|part| {
                let (across, down) = factors(part);
                let own = (
                    (width * across).div_ceil(most.0).div_ceil(8),
                    (height * down).div_ceil(most.1).div_ceil(8),
                );
                let stride = self.units.0 * across;
                let blocks = if progressive { stride * self.units.1 * down } else { 0 };
                let seen = vec![0; blocks];
                Component { id: part[0], across, down, own, stride, seen, missing: [None; BLOCK] }
            })
            .collect();
        Ok(())
    }

    fn tables(&mut self, mut content: &[u8]) -> Result<(), ImageError> {
        while let [kind, rest @ ..] = content {
            let counts = rest.get(..16).ok_or(CORRUPT)?;
            let total: usize = counts.iter().map(|count| usize::from(*count)).sum();
            let values = rest.get(16..16 + total).ok_or(CORRUPT)?;
            let place = usize::from(kind & 15);
            let tables = if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *tables.get_mut(place).ok_or(CORRUPT)? = Some(Codes::new(counts, values)?);
            content = &rest[16 + total..];
        }
        Ok(())
    }

    /// Walks one scan; the position of the marker behind it.
    fn scan(&mut self, content: &[u8], bytes: &[u8], at: usize) -> Result<usize, ImageError> {
        self.scans += 1;
        let count = usize::from(byte(content, 0)?);
        let mut parts = Vec::with_capacity(count);
        for n in 0..count {
            let (id, tables) = (byte(content, 1 + 2 * n)?, byte(content, 2 + 2 * n)?);
            let place = self.components.iter().position(|component| component.id == id).ok_or(CORRUPT)?;
            parts.push((place, usize::from(tables >> 4), usize::from(tables & 15)));
        }
        if parts.is_empty() || parts.len() > 4 {
            return Err(CORRUPT);
        }
        // Cameras write anything there in pictures that are not progressive.
        let band = match self.progressive {
            false => Band { from: 0, to: BLOCK - 1, high: 0, low: 0 },
            true => {
                let [from, to, bits] = [1, 2, 3].map(|n| content.get(2 * count + n).copied().unwrap_or(0));
                Band { from: usize::from(from), to: usize::from(to), high: bits >> 4, low: bits & 15 }
            }
        };
        let is_band = match self.progressive {
            false => true,
            // Means come alone, and of all components at once; other bands come for one component.
            true if band.from == 0 => band.to == 0,
            true => band.from <= band.to && band.to < BLOCK && parts.len() == 1,
        };
        let is_next = band.high == 0 && band.low < 14 || band.high == band.low + 1;
        if !is_band || !is_next {
            return Err(CORRUPT);
        }
        for &(place, ..) in &parts {
            let missing = &mut self.components[place].missing[band.from..=band.to];
            // Each later scan brings the next bit of what came before.
            if band.high > 0 && missing.iter().any(|missing| *missing != Some(band.high)) {
                return Err(ImageError::Truncated);
            }
            missing.fill(Some(band.low));
        }
        let (across, down) = if parts.len() > 1 { self.units } else { self.components[parts[0].0].own };
        let mut bits = Bits::new(bytes, at);
        let mut run = 0;
        let mut until_restart = self.interval;
        for unit in 0..across * down {
            if self.interval > 0 && until_restart == 0 {
                bits.restart(unit / self.interval)?;
                (run, until_restart) = (0, self.interval);
            }
            until_restart = until_restart.wrapping_sub(1);
            self.unit(&parts, &band, (unit % across, unit / across), &mut bits, &mut run)?;
            if bits.overrun() {
                return Err(ImageError::Truncated);
            }
        }
        // Some cameras leave a few bytes that mean nothing; whole units are those of a picture that lost its place.
        if bits.bytes_left() && self.has_surplus_units(&parts, &band, &mut bits, run) {
            return Err(CORRUPT);
        }
        Ok(bits.at)
    }

    /// Returns whether what is left of a scan is further units to its very end.
    fn has_surplus_units(
        &mut self,
        parts: &[(usize, usize, usize)],
        band: &Band,
        bits: &mut Bits<'_>,
        mut run: u32,
    ) -> bool {
        if self.progressive {
            return true;
        }
        while bits.bytes_left() {
            if self.unit(parts, band, (0, 0), bits, &mut run).is_err() || bits.overrun() {
                return false;
            }
        }
        true
    }

    /// Walks one unit: as many blocks of each component as its sampling says, or the one block of a scan of one component.
    fn unit(
        &mut self,
        parts: &[(usize, usize, usize)],
        band: &Band,
        (x, y): (usize, usize),
        bits: &mut Bits<'_>,
        run: &mut u32,
    ) -> Result<(), ImageError> {
        for &(place, dc, ac) in parts {
            let component = &mut self.components[place];
            let (across, down) = if parts.len() > 1 { (component.across, component.down) } else { (1, 1) };
            for n in 0..across * down {
                let at = (y * down + n / across) * component.stride + x * across + n % across;
                let (dc, ac) = (table(&self.dc, dc), table(&self.ac, ac));
                if !self.progressive {
                    sequential(bits, dc?, ac?)?;
                    continue;
                }
                let seen = component.seen.get_mut(at).ok_or(CORRUPT)?;
                if band.from == 0 {
                    // Only the mean: its first scan has codes, the others one bit.
                    if band.high == 0 {
                        let length = dc?.next(bits)?;
                        bits.skip(u32::from(length & 15));
                    } else {
                        bits.skip(1);
                    }
                    continue;
                }
                if band.high == 0 {
                    first(bits, ac?, band, seen, run)?;
                } else {
                    refine(bits, ac?, band, seen, run)?;
                }
            }
        }
        Ok(())
    }

    fn coding(&self) -> Coding {
        let factors = || self.components.iter().map(|component| (component.across, component.down));
        let most = factors().fold((1, 1), |m, f| (m.0.max(f.0), m.1.max(f.1)));
        let reduced = factors().any(|f| f != most);
        let apart = !self.progressive && self.scans > 1 && reduced;
        let odd = self.components.len() > 1
            && (factors().next() != Some(most) || factors().any(|(across, down)| across == 3 || down == 3));
        if apart || odd { Coding::Unusual } else { Coding::Usual }
    }

    /// Checks that every coefficient came with all its bits.
    fn complete(&self) -> Result<(), ImageError> {
        let is_whole = |component: &Component| component.missing.iter().all(|missing| *missing == Some(0));
        if self.components.is_empty() || !self.components.iter().all(is_whole) {
            return Err(ImageError::Truncated);
        }
        Ok(())
    }
}

fn table(tables: &[Option<Codes>; 4], place: usize) -> Result<&Codes, ImageError> {
    tables.get(place).and_then(Option::as_ref).ok_or(CORRUPT)
}

/// Walks a block of a sequential scan.
fn sequential(bits: &mut Bits<'_>, dc: &Codes, ac: &Codes) -> Result<(), ImageError> {
    let length = dc.next(bits)?;
    bits.skip(u32::from(length & 15));
    let mut k = 1;
    while k < BLOCK {
        let code = ac.next(bits)?;
        match (usize::from(code >> 4), u32::from(code & 15)) {
            (15, 0) => k += 16,
            (_, 0) => break,
            (zeros, length) => {
                k += zeros + 1;
                bits.skip(length);
            }
        }
        if k > BLOCK {
            return Err(CORRUPT);
        }
    }
    Ok(())
}

/// Walks a block of the first scan of a band.
fn first(
    bits: &mut Bits<'_>,
    codes: &Codes,
    band: &Band,
    seen: &mut u64,
    run: &mut u32,
) -> Result<(), ImageError> {
    if *run > 0 {
        *run -= 1;
        return Ok(());
    }
    let mut k = band.from;
    while k <= band.to {
        let code = codes.next(bits)?;
        match (usize::from(code >> 4), u32::from(code & 15)) {
            (15, 0) => k += 16,
            (length, 0) => {
                *run = (1 << length) + bits.take(length as u32) - 1;
                break;
            }
            (zeros, length) => {
                k += zeros;
                if k > band.to {
                    return Err(CORRUPT);
                }
                *seen |= 1 << k;
                k += 1;
                bits.skip(length);
            }
        }
    }
    Ok(())
}

/// Walks a block of a later scan of a band, which has one more bit for each coefficient that is not zero.
fn refine(
    bits: &mut Bits<'_>,
    codes: &Codes,
    band: &Band,
    seen: &mut u64,
    run: &mut u32,
) -> Result<(), ImageError> {
    let mut k = band.from;
    if *run == 0 {
        while k <= band.to {
            let code = codes.next(bits)?;
            let (mut zeros, new) = (u32::from(code >> 4), code & 15 != 0);
            if new {
                if code & 15 != 1 {
                    return Err(CORRUPT);
                }
                bits.skip(1);
            } else if zeros < 15 {
                *run = (1 << zeros) + bits.take(zeros);
                break;
            }
            while k <= band.to {
                if *seen >> k & 1 != 0 {
                    bits.skip(1);
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                k += 1;
            }
            if new {
                if k > band.to {
                    return Err(CORRUPT);
                }
                *seen |= 1 << k;
            }
            k += 1;
        }
    }
    if *run > 0 {
        if k <= band.to {
            let rest = *seen >> k & (u64::MAX >> (BLOCK - 1 - (band.to - k)));
            bits.skip(rest.count_ones());
        }
        *run -= 1;
    }
    Ok(())
}

/// Decodes Huffman codes.
struct Codes {
    /// For each beginning of [`FAST`] bits the value and the length of its code; length 0 where it is longer.
    fast: Vec<(u8, u8)>,
    /// For each length the first code behind those of the length, left-aligned to 16 bits, and where its values end.
    ends: [(u32, usize); 17],
    values: Vec<u8>,
}

impl Codes {
    fn new(counts: &[u8], values: &[u8]) -> Result<Self, ImageError> {
        let mut fast = vec![(0, 0); 1 << FAST];
        let mut ends = [(0_u32, 0_usize); 17];
        let (mut code, mut place) = (0_u32, 0);
        for (length, count) in (1_u32..).zip(counts) {
            for _ in 0..*count {
                if code >= 1 << length {
                    return Err(CORRUPT);
                }
                if length <= FAST {
                    let from = (code << (FAST - length)) as usize;
                    fast[from..from + (1 << (FAST - length))].fill((values[place], length as u8));
                }
                code += 1;
                place += 1;
            }
            ends[length as usize] = (code << (16 - length), place);
            code <<= 1;
        }
        Ok(Self { fast, ends, values: values.to_vec() })
    }

    /// Takes the next code and returns its value.
    fn next(&self, bits: &mut Bits<'_>) -> Result<u8, ImageError> {
        let window = bits.peek();
        let (value, length) = self.fast[(window >> (16 - FAST)) as usize];
        if length > 0 {
            bits.skip(u32::from(length));
            return Ok(value);
        }
        for length in FAST + 1..=16 {
            let (end, place) = self.ends[length as usize];
            if window < end {
                let back = (end - 1 - window) >> (16 - length);
                bits.skip(length);
                return place
                    .checked_sub(1 + back as usize)
                    .and_then(|at| self.values.get(at))
                    .copied()
                    .ok_or(CORRUPT);
            }
        }
        // No code begins like this; behind the end of the data it is what is missing.
        Err(if bits.is_at_end() { ImageError::Truncated } else { CORRUPT })
    }
}

/// Reads the bits of entropy-coded data up to its marker, without the stuffed zeros.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, from the top; zeros behind the end.
    held: u64,
    count: u32,
    /// Bits handed out that were not there.
    missing: u32,
    ended: bool,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, held: 0, count: 0, missing: 0, ended: false }
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let Some(value) = self.byte() else {
                self.ended = true;
                break;
            };
            self.held |= u64::from(value) << (56 - self.count);
            self.count += 8;
        }
    }

    /// Takes the next byte; `None` at a marker, and at fill bytes before one.
    fn byte(&mut self) -> Option<u8> {
        let value = *self.bytes.get(self.at)?;
        if value == 0xFF && *self.bytes.get(self.at + 1)? != 0 {
            return None;
        }
        self.at += if value == 0xFF { 2 } else { 1 };
        Some(value)
    }

    /// Returns the next 16 bits, which stay.
    fn peek(&mut self) -> u32 {
        if self.count < 16 && !self.ended {
            self.fill();
        }
        (self.held >> 48) as u32
    }

    /// Passes over at most 64 bits.
    fn skip(&mut self, bits: u32) {
        if bits > 32 {
            self.skip(bits - 32);
            return self.skip(32);
        }
        if self.count < bits && !self.ended {
            self.fill();
        }
        if self.count < bits {
            self.missing += bits - self.count;
            (self.held, self.count) = (0, 0);
        } else {
            self.held <<= bits;
            self.count -= bits;
        }
    }

    fn take(&mut self, bits: u32) -> u32 {
        let taken = if bits == 0 { 0 } else { self.peek() >> (16 - bits) };
        self.skip(bits);
        taken
    }

    fn overrun(&self) -> bool {
        self.missing > 0
    }

    /// Returns whether an invalid code reaches beyond the last bits.
    fn is_at_end(&self) -> bool {
        self.ended && self.count < 16
    }

    /// Returns whether more is left than the bits that fill the last byte.
    fn bytes_left(&mut self) -> bool {
        if self.count < 16 && !self.ended {
            self.fill();
        }
        self.count >= 8
    }

    /// Goes on behind the restart marker that must follow, the `nth` of the scan.
    fn restart(&mut self, nth: usize) -> Result<(), ImageError> {
        if self.bytes_left() {
            return Err(CORRUPT);
        }
        let (marker, next) = next_marker(self.bytes, self.at).ok_or(ImageError::Truncated)?;
        match marker {
            0xD0..=0xD7 if usize::from(marker & 7) == (nth + 7) % 8 => *self = Self::new(self.bytes, next),
            0xD0..=0xD7 => return Err(CORRUPT),
            _ => return Err(ImageError::Truncated),
        }
        Ok(())
    }
}
