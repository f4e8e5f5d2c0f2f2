//! Draws small pictures to learn from where a card lies: `training_scenes SEED COUNT FOLDER [--held-out]`.
//!
//! Writes shards of 500 pictures, `SEED-NNNN.bin` with JPEG files one after another and `SEED-NNNN.jsonl` with a line for
//! each: where it is in the file, corners in the card's own order, what it shows, how many cards. Shards that are there
//! already are not drawn again, so an interrupted run goes on by the same command. With `--held-out` every picture has the
//! ground or the card stock that training never sees.

use std::fs;
use std::path::Path;

use filot_testkit::{Case, Decoy, Ground, Medium, NpwpDesign, Scene, Stock, Subject, Tier};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;

const SHARD: u64 = 500;
const LONG_SIDE: u32 = 480;
/// Families that training does not see.
const HELD_OUT_GROUND: Ground = Ground::Keyboard;
const HELD_OUT_STOCK: Stock = Stock::Fan;

const GROUNDS: [(Ground, u32); 13] = [
    (Ground::Plain, 8),
    (Ground::Wood, 8),
    (Ground::Tiles, 6),
    (Ground::Cloth, 6),
    (Ground::Pattern, 6),
    (Ground::Stone, 5),
    (Ground::Print, 12),
    (Ground::Dark, 6),
    (Ground::Room, 6),
    (Ground::Paper, 6),
    (Ground::Plaid, 7),
    (Ground::Form, 12),
    (Ground::Ruled, 5),
];

fn subject(rng: &mut StdRng) -> (Subject, usize) {
    let kinds = [
        (Subject::Ktp { foreign: false }, 0, 38),
        (Subject::Ktp { foreign: true }, 1, 6),
        (Subject::Npwp(NpwpDesign::Old), 2, 13),
        (Subject::Npwp(NpwpDesign::Blue), 3, 9),
        (Subject::Npwp(NpwpDesign::New16), 4, 12),
        (Subject::Decoy(Decoy::Bpjs), 5, 3),
        (Subject::Decoy(Decoy::Sim), 5, 3),
        (Subject::Decoy(Decoy::Student), 5, 2),
        (Subject::Decoy(Decoy::Business), 5, 2),
        (Subject::Decoy(Decoy::NikOnly), 5, 1),
        (Subject::Decoy(Decoy::Receipt), 6, 3),
        (Subject::Decoy(Decoy::TypedForm), 6, 3),
        (Subject::Decoy(Decoy::Face), 6, 1),
        (Subject::Decoy(Decoy::Texture), 7, 3),
        (Subject::Decoy(Decoy::Blank), 7, 1),
    ];
    let chosen = kinds.choose_weighted(rng, |kind| kind.2).expect("there are weights");
    (chosen.0, chosen.1)
}

fn case(rng: &mut StdRng, held_out: bool) -> (Case, usize, Scene) {
    let (subject, kind) = subject(rng);
    let tier = *[Tier::Clean, Tier::Normal, Tier::Hard, Tier::Hard].choose(rng).expect("not empty");
    let media = [
        (Medium::Photo, 84),
        (Medium::Scan, 4),
        (Medium::Photocopy, 5),
        (Medium::Screen, 4),
        (Medium::Screenshot, 3),
    ];
    let medium = media.choose_weighted(rng, |medium| medium.1).expect("there are weights").0;
    let mut scene = Scene { sketch: true, any_angle: rng.random_bool(0.35), ..Scene::default() };
    if medium == Medium::Photo {
        scene.ground = Some(GROUNDS.choose_weighted(rng, |ground| ground.1).expect("there are weights").0);
        scene.neighbours = if rng.random_bool(0.2) { rng.random_range(1..=2) } else { 0 };
        scene.rim = if rng.random_bool(0.08) { rng.random_range(1.0..4.0) } else { 0.0 };
    }
    if rng.random_bool(0.4) {
        scene.stock = [Stock::Waves, Stock::Emblem, Stock::Words].choose(rng).copied();
    }
    scene.bleached = if rng.random_bool(0.12) { rng.random_range(0.1..0.6) } else { 0.0 };
    if held_out {
        match rng.random_bool(0.5) {
            true => scene.ground = Some(HELD_OUT_GROUND),
            false => scene.stock = Some(HELD_OUT_STOCK),
        }
    }
    if kind == 7 {
        scene.neighbours = 0;
    }
    (Case::of(subject).tier(tier).medium(medium).long_side(LONG_SIDE).scene(scene), kind, scene)
}

fn shard(seed: u64, nth: u64, held_out: bool, folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let index = folder.join(format!("{seed}-{nth:04}.jsonl"));
    if index.exists() {
        return Ok(());
    }
    let (mut lines, mut pictures) = (String::new(), Vec::new());
    for n in nth * SHARD..(nth + 1) * SHARD {
        let mut rng = StdRng::seed_from_u64(seed << 32 | n);
        let (case, kind, scene) = case(&mut rng, held_out);
        let sample = case.draw(rng.random());
        let capture = &sample.truth.capture;
        let line = json!({
            "at": pictures.len(),
            "length": sample.jpeg.len(),
            "size": capture.size,
            "corners": capture.corners,
            "kind": kind,
            "cards": if kind == 7 { 0 } else { 1 + scene.neighbours },
            "tier": sample.truth.tier,
            "ground": capture.background,
            "stock": scene.stock.map(|stock| format!("{stock:?}")),
        });
        lines.push_str(&format!("{line}\n"));
        pictures.extend(sample.jpeg);
    }
    fs::write(folder.join(format!("{seed}-{nth:04}.bin")), pictures)?;
    // The index comes last and whole: what it names is there.
    let unfinished = index.with_extension("part");
    fs::write(&unfinished, lines)?;
    fs::rename(unfinished, index)?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [seed, count, folder, rest @ ..] = &words[..] else {
        return Err("usage: training_scenes SEED COUNT FOLDER [--held-out]".into());
    };
    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    let (seed, count) = (seed.parse()?, count.parse::<u64>()?);
    for nth in 0..count.div_ceil(SHARD) {
        shard(seed, nth, rest.iter().any(|word| word == "--held-out"), folder)?;
    }
    Ok(())
}
