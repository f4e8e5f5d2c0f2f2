//! Draws cards as they leave the printer, to photograph patches of them elsewhere: `training_sheets SEED COUNT FOLDER`.
//!
//! Writes `SEED-NNNN-STOCK.png`, 24 pixels to a millimetre, where `STOCK` is the security print over the card's own: `plain`,
//! `waves`, `fan`, `emblem` or `words`. Sheets that are there already are not drawn again.

use std::fs;
use std::path::Path;

use filot_testkit::{Case, NpwpDesign, Scene, Stock, Subject};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Pixels across: 24 to a millimetre.
const WIDTH: u32 = 2054;

const SUBJECTS: [(Subject, u32); 5] = [
    (Subject::Ktp { foreign: false }, 50),
    (Subject::Ktp { foreign: true }, 8),
    (Subject::Npwp(NpwpDesign::Old), 14),
    (Subject::Npwp(NpwpDesign::Blue), 14),
    (Subject::Npwp(NpwpDesign::New16), 14),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [seed, count, folder] = &words[..] else {
        return Err("usage: training_sheets SEED COUNT FOLDER".into());
    };
    let (seed, count, folder) = (seed.parse::<u64>()?, count.parse::<u64>()?, Path::new(folder));
    fs::create_dir_all(folder)?;
    for n in 0..count {
        let mut rng = StdRng::seed_from_u64(seed << 32 | n);
        let subject = SUBJECTS.choose_weighted(&mut rng, |subject| subject.1)?.0;
        let stock = if rng.random_bool(0.7) { Stock::ALL.choose(&mut rng).copied() } else { None };
        let bleached = if rng.random_bool(0.1) { rng.random_range(0.1..0.5) } else { 0.0 };
        let name = stock.map_or("plain".to_owned(), |stock| format!("{stock:?}").to_lowercase());
        let file = folder.join(format!("{seed}-{n:04}-{name}.png"));
        if !file.exists() {
            let case = Case::of(subject).scene(Scene { stock, bleached, ..Scene::default() });
            let unfinished = folder.join("unfinished.png");
            case.card(rng.random(), WIDTH).save(&unfinished)?;
            fs::rename(&unfinished, file)?;
        }
    }
    Ok(())
}
