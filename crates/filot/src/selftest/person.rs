//! Invented people, a different one for each number, for tests that search logs for their data.

use std::fmt;

use serde::Serialize;

/// Someone who does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// Two words that stand for nobody else.
    pub name: String,
    pub nik: String,
    /// 15 digits with dots and a dash.
    pub npwp: String,
    pub birth_place: String,
    pub address: String,
    pub email: String,
    pub phone: String,
}

const SYLLABLES: [&str; 16] = [
    "ba", "cok", "dir", "fas", "gun", "hel", "jat", "kus", "lin", "mar", "nur", "pra", "rah", "sus", "tir",
    "wib",
];

/// A word that no other number has.
fn word(number: u32) -> String {
    // The syllables are told apart by their beginnings, so the word is a numeral to the base 16.
    (0..6).rev().map(|place| SYLLABLES[(number >> (4 * place)) as usize & 15]).collect()
}

impl Person {
    /// The person of `number` (below 2^24).
    pub fn of(number: u32) -> Self {
        let (first, last) = (word(number), word(number ^ 0x00A5_A5A5));
        let day = 1 + number % 28;
        Self {
            nik: format!("31740{}{day:02}0190{:04}", 1 + number / 280_000 % 9, number / 28 % 10_000),
            npwp: format!(
                "{:02}.{:03}.{:03}.{}-407.000",
                10 + number / 10_000_000,
                number / 10_000 % 1000,
                number / 10 % 1000,
                number % 10
            ),
            birth_place: format!("KOTA {}", last.to_uppercase()),
            address: format!("JL. {} NO. {}", first.to_uppercase(), 1 + number % 200),
            email: format!("{first}.{last}@contoh.example"),
            phone: format!("+62812{number:08}"),
            name: format!("{} {}", first.to_uppercase(), last.to_uppercase()),
        }
    }

    /// Everything that must never be found where it does not belong, in capitals as on a card. Of names each word, as
    /// half a name is one, too.
    pub fn traces(&self) -> Vec<String> {
        let bare = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let mut traces = vec![
            self.nik.clone(),
            self.npwp.clone(),
            bare(&self.npwp),
            self.email.to_uppercase(),
            bare(&self.phone),
            format!("0{}", &bare(&self.phone)[2..]),
        ];
        traces.extend(self.name.split(' ').map(str::to_owned));
        traces
    }
}

/// As a reader would find it on a card.
impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "NIK : {}\nNama : {}\nTempat Lahir : {}\nAlamat : {}\nNPWP : {}\n{} {}",
            self.nik, self.name, self.birth_place, self.address, self.npwp, self.email, self.phone
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nobody_shares_a_trace_with_another() {
        let people: Vec<Person> = (0..3000).map(Person::of).collect();
        let traces: Vec<String> = people.iter().flat_map(Person::traces).collect();
        let distinct: HashSet<&String> = traces.iter().collect();
        // The second word of one may be the first of another; nothing else is shared.
        let names = 2 * people.len();
        assert!(distinct.len() > traces.len() - names / 2);
        let niks: HashSet<&str> = people.iter().map(|person| person.nik.as_str()).collect();
        assert_eq!(niks.len(), people.len());
        assert!(people.iter().all(|person| person.nik.len() == 16 && person.npwp.len() == 20));
    }
}
