//! The one source of chance: a seeded generator whose branches do not disturb each other.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A stream of random choices. Two dice of the same seed and branch give the same choices on every machine.
pub(crate) struct Dice {
    seed: u64,
    branch: u64,
    rng: ChaCha8Rng,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self::at(seed, 0)
    }

    fn at(seed: u64, branch: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(branch);
        Self { seed, branch, rng }
    }

    /// Independent dice for one part of the work, so that a further roll in one part leaves the other parts as
    /// they were. The number of rolls made so far does not matter.
    pub(crate) fn branch(&self, part: u64) -> Self {
        Self::at(self.seed, self.branch.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(part + 1))
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f32 {
        self.rng.random::<f32>()
    }

    /// A number in `low..high`; `low` when the range is empty.
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// A whole number in `low..=high`.
    pub(crate) fn int(&mut self, low: u32, high: u32) -> u32 {
        self.rng.random_range(low..=high.max(low))
    }

    /// True with probability `p`.
    pub(crate) fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// One of `items`, which must not be empty.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let last = u32::try_from(items.len().saturating_sub(1)).unwrap_or(u32::MAX);
        &items[self.int(0, last) as usize]
    }

    /// One of the words of a list such as `"JL.|JLN.|JALAN"`.
    pub(crate) fn word(&mut self, list: &'static str) -> &'static str {
        let last = u32::try_from(list.matches('|').count()).unwrap_or(u32::MAX);
        let chosen = self.int(0, last) as usize;
        list.split('|').nth(chosen).unwrap_or(list)
    }

    /// One of `items`, each as likely as its weight says. `items` must not be empty.
    pub(crate) fn weighted<'a, T>(&mut self, items: &'a [(T, f32)]) -> &'a T {
        let total: f32 = items.iter().map(|(_, weight)| weight).sum();
        let mut left = self.range(0.0, total);
        for (item, weight) in items {
            left -= weight;
            if left < 0.0 {
                return item;
            }
        }
        &items[items.len() - 1].0
    }

    /// `text` with many of its words replaced: capitals by capitals of chance, with more of the letter `I` than there would
    /// be and now and then a mark, digits by digits; some words by a Roman number. The rest stays.
    pub(crate) fn garbled(&mut self, text: &str) -> String {
        let words: Vec<String> = text.split(' ').map(|word| self.garbled_word(word)).collect();
        words.join(" ")
    }

    fn garbled_word(&mut self, word: &str) -> String {
        match self.int(0, 9) {
            0..=2 => word.to_owned(),
            3 if word.chars().all(|c| c.is_ascii_uppercase()) => {
                self.word("I|II|III|IV|VI|VII|VIII").to_owned()
            }
            _ => word.chars().map(|c| self.garbled_letter(c)).collect(),
        }
    }

    fn garbled_letter(&mut self, letter: char) -> char {
        let mut from = |first: u8, count: u32| {
            char::from(first + u8::try_from(self.int(0, count - 1)).unwrap_or_default())
        };
        match letter {
            'A'..='Z' => match from(0, 100) as u8 {
                0..=11 => 'I',
                12..=15 => '\'',
                16..=17 => '.',
                18 => '/',
                19 => '-',
                _ => from(b'A', 26),
            },
            'a'..='z' => from(b'a', 26),
            '0'..='9' => from(b'0', 10),
            other => other,
        }
    }

    /// A raw number, for seeding something quicker.
    pub(crate) fn raw(&mut self) -> u64 {
        self.rng.random::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_rolls_and_branches_are_independent() {
        let (mut a, mut b) = (Dice::new(7), Dice::new(7));
        a.unit();
        assert_eq!(a.branch(3).raw(), b.branch(3).raw());
        assert_ne!(a.branch(3).raw(), a.branch(4).raw());
        assert_ne!(b.raw(), Dice::new(8).raw());
    }

    #[test]
    fn weights_are_respected() {
        let mut dice = Dice::new(1);
        let hits = (0..2000).filter(|_| *dice.weighted(&[(true, 3.0), (false, 1.0)])).count();
        assert!((1400..1600).contains(&hits), "{hits} of 2000 at weight 3 of 4");
    }
}
