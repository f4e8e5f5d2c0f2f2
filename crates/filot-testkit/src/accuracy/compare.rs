//! When two values are the same.

/// Whether a reading says what is printed: without case, blanks and punctuation, dates in any common form.
pub fn same(truth: &str, read: &str) -> bool {
    canonical(truth) == canonical(read)
}

/// Fewest insertions, deletions and substitutions of characters that turn the reading into the truth, and the length of
/// the truth, both in the form that [`same`] compares.
pub fn edits(truth: &str, read: &str) -> (u64, u64) {
    let truth: Vec<char> = canonical(truth).chars().collect();
    let read: Vec<char> = canonical(read).chars().collect();
    let mut previous: Vec<u64> = (0..=read.len() as u64).collect();
    for (row, expected) in truth.iter().enumerate() {
        let mut diagonal = previous[0];
        previous[0] = row as u64 + 1;
        for (column, found) in read.iter().enumerate() {
            let replaced = diagonal + u64::from(expected != found);
            diagonal = previous[column + 1];
            previous[column + 1] = replaced.min(previous[column] + 1).min(diagonal + 1);
        }
    }
    (previous[read.len()], truth.len() as u64)
}

fn canonical(value: &str) -> String {
    date(value).unwrap_or_else(|| {
        value.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
    })
}

/// `YYYYMMDD` of a date with the year or the day first and any separator.
fn date(value: &str) -> Option<String> {
    let parts: Vec<&str> = value.trim().split(['-', '/', '.', ' ']).filter(|part| !part.is_empty()).collect();
    let [first, month, last] = parts[..] else { return None };
    let digits = |part: &str, least: usize, most: usize| {
        (least..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let (year, day) = match (first.len(), last.len()) {
        (4, 1..=2) => (first, last),
        (1..=2, 4) => (last, first),
        _ => return None,
    };
    (digits(year, 4, 4) && digits(month, 1, 2) && digits(day, 1, 2))
        .then(|| format!("{year}{month:0>2}{day:0>2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_case_and_blanks_do_not_matter() {
        assert!(same("JL. LET. JEND. S. PARMAN NO51A LT.23", "JL LET JEND S PARMAN NO 51A LT 23"));
        assert!(same("49.066.397.8-005.000", "490663978005000"));
        assert!(same("001/017", "001 / 017"));
        assert!(same("-", ""));
        assert!(!same("SUPARMI", "SUPARNI"));
        assert!(!same("3201145402550022", "320114540255002"));
    }

    #[test]
    fn dates_in_any_form() {
        for form in ["1955-02-14", "14-02-1955", "14/02/1955", "14.2.1955", "14 02 1955"] {
            assert!(same("14-02-1955", form), "{form}");
        }
        assert!(!same("14-02-1955", "02-14-1955"));
        assert!(!same("14-02-1955", "1955-02-15"));
        assert!(!same("01-02-2003", "SEUMUR HIDUP"));
    }

    #[test]
    fn edits_are_counted_against_the_truth() {
        assert_eq!(edits("KAWIN", "KAWIN"), (0, 5));
        assert_eq!(edits("KAWIN", "KAW1N"), (1, 5));
        assert_eq!(edits("KAWIN", ""), (5, 5));
        assert_eq!(edits("BELUM KAWIN", "KAWIN"), (5, 10));
        assert_eq!(edits("14-02-1955", "1955-02-14"), (0, 8));
    }
}
