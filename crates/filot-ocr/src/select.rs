//! Order statistics: medians and percentiles of many values.

/// Among fewer values than this, counting costs more than it saves.
const FEW: usize = 2048;
/// Values are counted by so many of their leading bits: sign, exponent, and five bits of the fraction.
const LEADING: u32 = 14;

/// The value at `place` if the values stood in order (by [`f32::total_cmp`]); the largest one beyond the end.
///
/// Counts values by their leading bits and looks only among those that share them with the one that is sought: reads the
/// values twice and moves hardly any, where a partial sort moves them all several times.
///
/// # Panics
/// Without any values.
pub(crate) fn nth(values: &[f32], place: usize) -> f32 {
    let place = place.min(values.len() - 1);
    let of_keys = |mut keys: Vec<u32>, place: usize| value(*keys.select_nth_unstable(place).1);
    if values.len() < FEW {
        return of_keys(values.iter().map(|value| key(*value)).collect(), place);
    }
    let leading = |key: u32| key >> (32 - LEADING);
    let mut counts = vec![0u32; 1 << LEADING];
    for value in values {
        counts[leading(key(*value)) as usize] += 1;
    }
    let (mut shared, mut before) = (0, 0);
    for (bits, count) in counts.into_iter().enumerate() {
        if before + count as usize > place {
            shared = bits as u32;
            break;
        }
        before += count as usize;
    }
    let alike = values.iter().map(|value| key(*value)).filter(|key| leading(*key) == shared);
    of_keys(alike.collect(), place - before)
}

/// A number that orders as [`f32::total_cmp`] orders values: positive ones with their sign set, negative ones inverted.
fn key(value: f32) -> u32 {
    let bits = value.to_bits();
    bits ^ ((bits as i32 >> 31) as u32 | 0x8000_0000)
}

/// The inverse of [`key`].
fn value(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 { key & 0x7FFF_FFFF } else { !key })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_the_value_that_sorting_puts_there(
            few in prop::collection::vec(any::<f32>(), 1..50),
            times in 1usize..200,
            place in any::<prop::sample::Index>(),
        ) {
            // Few different values many times over, and many different ones.
            let values: Vec<f32> =
                (0..times).flat_map(|i| few.iter().map(move |value| value * (1.0 + (i / 40) as f32))).collect();
            let place = place.index(values.len());
            let mut sorted = values.clone();
            sorted.sort_by(f32::total_cmp);
            prop_assert_eq!(nth(&values, place).to_bits(), sorted[place].to_bits());
        }
    }

    #[test]
    fn beyond_the_end_is_the_largest() {
        assert_eq!(nth(&[2.0, -1.0], 7), 2.0);
    }
}
