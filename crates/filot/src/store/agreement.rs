//! How far the officers agree who look at the same document one after the other, the second without being told.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Result, Ruling, Store, to_utc};

/// How often two officers said what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    pub pairs: BTreeMap<(&'static str, &'static str), u64>,
}

impl Agreement {
    /// Pairs in all.
    pub fn count(&self) -> u64 {
        self.pairs.values().sum()
    }

    /// Cohen's kappa: 1 for full agreement, 0 for as much as chance gives. `None` where it is not defined: no pairs, or
    /// both always said the same one thing.
    pub fn kappa(&self) -> Option<f64> {
        let total = self.count() as f64;
        let share = |test: &dyn Fn(&'static str, &'static str) -> bool| {
            let hits = self.pairs.iter().filter(|((a, b), _)| test(a, b)).map(|(_, n)| *n).sum::<u64>();
            hits as f64 / total
        };
        let observed = share(&|a, b| a == b);
        let expected: f64 = Ruling::ALL
            .iter()
            .map(|ruling| share(&|a, _| a == ruling.as_str()) * share(&|_, b| b == ruling.as_str()))
            .sum();
        (total > 0.0 && expected < 1.0).then(|| (observed - expected) / (1.0 - expected))
    }
}

impl Store {
    /// How often the first and the second officer said what, where the second spoke since then.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn agreement(&self, since: Timestamp) -> Result<Agreement> {
        // From the few second looks to their first ones: SQLite takes a cross join in the order in which it is written.
        let sql = "SELECT a.ruling AS first, b.ruling AS second, COUNT(*) AS n FROM rulings b CROSS JOIN rulings a \
                   WHERE b.stage = 'second' AND b.carried_out_at >= $1 \
                   AND a.review_id = b.review_id AND a.stage = 'first' GROUP BY a.ruling, b.ruling";
        let mut agreement = Agreement::default();
        for row in self.query(sql, vec![to_utc(since).into()]).await? {
            let word = |column| -> Result<&'static str> {
                Ok(row.try_get::<String>("", column)?.parse::<Ruling>()?.as_str())
            };
            let count: i64 = row.try_get("", "n")?;
            agreement.pairs.insert((word("first")?, word("second")?), count.unsigned_abs());
        }
        Ok(agreement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreement(counts: [[u64; 3]; 3]) -> Agreement {
        let mut pairs = BTreeMap::new();
        for (a, row) in Ruling::ALL.iter().zip(counts) {
            for (b, n) in Ruling::ALL.iter().zip(row) {
                pairs.insert((a.as_str(), b.as_str()), n);
            }
        }
        Agreement { pairs }
    }

    #[test]
    fn kappa_is_that_of_the_textbook() {
        // Cohen's own way of counting: 20 and 15 of 50 agree, chance would give one half.
        let kappa = agreement([[20, 5, 0], [10, 15, 0], [0, 0, 0]]).kappa().unwrap();
        assert!((kappa - 0.4).abs() < 1e-9, "{kappa}");
        assert_eq!(agreement([[3, 0, 0], [0, 4, 0], [0, 0, 5]]).kappa(), Some(1.0));
        assert!(agreement([[0, 3, 0], [3, 0, 0], [0, 0, 0]]).kappa().unwrap() < 0.0);
        assert_eq!(agreement([[0; 3]; 3]).kappa(), None);
        assert_eq!(agreement([[7, 0, 0], [0, 0, 0], [0, 0, 0]]).kappa(), None);
    }
}
