//! `filot scan` and `filot sample`.

use std::fs;
use std::path::Path;

use filot_testkit::Case;
use serde_json::Value;

use crate::program::{filot, finish, run, run_with, samples};

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

/// A clean photo of a consistent card and its truth.
fn clean_ktp() -> (Vec<u8>, filot_testkit::Truth) {
    let sample = Case::ktp().long_side(1280).draw(5);
    (sample.jpeg, sample.truth)
}

/// Two photos above one another as one file.
fn above_one_another(jpegs: [&[u8]; 2]) -> Vec<u8> {
    let [above, below] = jpegs.map(|jpeg| image::load_from_memory(jpeg).unwrap().to_rgb8());
    let size = (above.width().max(below.width()), above.height() + below.height());
    let mut both = image::RgbImage::new(size.0, size.1);
    image::imageops::replace(&mut both, &above, 0, 0);
    image::imageops::replace(&mut both, &below, 0, above.height().into());
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 92).encode_image(&both).unwrap();
    jpeg
}

/// Which check failed.
fn fails(record: &Value, code: &str) -> bool {
    let checks = record["checks"].as_array().unwrap();
    checks.iter().any(|check| check["code"] == code && check["outcome"] == "fail")
}

#[test]
fn of_two_cards_the_declared_one_is_read() {
    let ktp = Case::ktp().long_side(1024).draw(4);
    let npwp = Case::npwp(filot_testkit::NpwpDesign::New16).long_side(1024).draw(4);
    for jpegs in [[&*ktp.jpeg, &npwp.jpeg], [&npwp.jpeg, &ktp.jpeg]] {
        let both = above_one_another(jpegs);
        for (declared, truth, key, name) in
            [("ktp", &ktp.truth, "nik", "nik"), ("npwp", &npwp.truth, "npwp16", "npwp16")]
        {
            let record = run_with(&both, ["scan", "--type", declared, "-"]).json();
            assert_eq!(record["type"].as_str().unwrap().to_lowercase(), declared);
            assert_eq!(record["fields"][key]["value"], truth.fields[name].as_str(), "{record}");
            assert!(!fails(&record, "DECLARED_TYPE") && !fails(&record, "SEVERAL_CARDS"), "{record}");
        }
    }
}

#[test]
fn two_cards_of_a_kind_are_for_a_person() {
    let cards = [4, 5].map(|seed| Case::ktp().long_side(1024).draw(seed).jpeg);
    let record = run_with(&above_one_another([&cards[0], &cards[1]]), ["scan", "--type", "ktp", "-"]).json();
    assert!(fails(&record, "SEVERAL_CARDS"), "{record}");
    assert_eq!(record["decision"], "needs_review");
    for jpeg in &cards {
        assert!(!fails(&run_with(jpeg, ["scan", "--type", "ktp", "-"]).json(), "SEVERAL_CARDS"));
    }
}

/// The object without what differs from run to run.
fn timeless(mut record: Value) -> Value {
    let fields = record.as_object_mut().unwrap();
    fields.remove("ms");
    fields.remove("timing");
    record
}

#[test]
fn results_come_in_input_order_with_errors_in_their_place() {
    let folder = samples(3, 11);
    let whole = fs::read(folder.path().join("00000.jpg")).unwrap();
    fs::write(folder.path().join("00000b.jpg"), &whole[..whole.len() / 2]).unwrap();
    let missing = path(&folder, "missing.jpg");
    let place = folder.path().to_str().unwrap();
    let ended = run(["scan", "--format", "ndjson", "--jobs", "3", place, &missing]);
    assert_eq!(ended.status, 65, "{}", ended.stderr);
    let records = ended.records();
    let names: Vec<_> =
        records.iter().map(|r| Path::new(r["file"].as_str().unwrap()).file_name().unwrap()).collect();
    assert_eq!(names, ["00000.jpg", "00000b.jpg", "00001.jpg", "00002.jpg", "missing.jpg"]);
    assert_eq!(records[1]["error"]["code"], "file_truncated");
    assert!(records[1]["error"]["message"].as_str().unwrap().contains("Send it again"));
    assert_eq!(records[4]["error"]["code"], "file_not_found");
    for record in [&records[0], &records[2], &records[3]] {
        assert!(["KTP", "NPWP", "OTHER"].contains(&record["type"].as_str().unwrap()));
        assert!(
            ["auto_approve", "needs_review", "auto_reject"].contains(&record["decision"].as_str().unwrap())
        );
        for key in
            ["fields", "score", "retakeAdvised", "checks", "ledger", "quality", "engine", "ms", "timing"]
        {
            assert!(record.get(key).is_some(), "{key} is missing");
        }
        assert!(record["timing"]["decode"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn a_clean_card_is_read_and_the_ledger_sums_to_the_score() {
    let (jpeg, truth) = clean_ktp();
    let ended = run_with(&jpeg, ["scan", "--type", "ktp", "-"]);
    // Not a terminal and one file: a single object.
    let record = ended.json();
    assert_eq!(record["file"], "-");
    assert_eq!(record["type"], "KTP");
    assert_eq!(record["fields"]["nik"]["value"], truth.fields["nik"].as_str());
    assert_eq!(record["fields"]["name"]["value"], truth.fields["nama"].as_str());
    let points: i64 =
        record["ledger"].as_array().unwrap().iter().map(|line| line["points"].as_i64().unwrap()).sum();
    assert_eq!(points, record["score"].as_i64().unwrap());
    assert_eq!(ended.status, if record["decision"] == "auto_approve" { 0 } else { 1 });
}

#[test]
fn the_same_file_gives_the_same_result() {
    let folder = samples(2, 4);
    let place = folder.path().to_str().unwrap();
    let read =
        || run(["scan", "--format", "ndjson", place]).records().into_iter().map(timeless).collect::<Vec<_>>();
    assert_eq!(read(), read());
}

#[test]
fn both_runtimes_read_the_same() {
    let (jpeg, truth) = clean_ktp();
    for runtime in ["ort", "rten"] {
        let record = run_with(&jpeg, ["scan", "--type", "ktp", "--runtime", runtime, "-"]).json();
        assert!(record["engine"].as_str().unwrap().contains(runtime), "{}", record["engine"]);
        assert_eq!(record["fields"]["nik"]["value"], truth.fields["nik"].as_str(), "{runtime}");
        assert_eq!(record["fields"]["name"]["value"], truth.fields["nama"].as_str(), "{runtime}");
    }
}

#[test]
fn tesseract_is_a_reader_too() {
    let (jpeg, truth) = clean_ktp();
    let ended = run_with(&jpeg, ["scan", "--type", "ktp", "--engine", "tesseract", "-"]);
    let record = ended.json();
    assert_eq!(record["engine"], "tesseract", "{record}");
    assert_eq!(record["type"], "KTP");
    assert_eq!(record["fields"]["name"]["value"], truth.fields["nama"].as_str());
}

#[test]
fn csv_has_a_head_and_one_row_to_a_file() {
    let folder = samples(2, 11);
    let missing = path(&folder, "missing.jpg");
    let ended = run(["scan", "--format", "csv", folder.path().to_str().unwrap(), &missing]);
    let rows: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(rows.len(), 4);
    assert!(rows[0].starts_with("file,type,decision,score,retakeAdvised,error,nik,name,"), "{}", rows[0]);
    assert!(rows[0].ends_with(",npwpNumber,npwp16,taxOffice,registeredDate"), "{}", rows[0]);
    assert!(rows[3].contains(",file_not_found,"), "{}", rows[3]);
}

#[test]
fn json_of_several_files_is_an_array() {
    let folder = samples(2, 11);
    let ended = run(["scan", "--format", "json", folder.path().to_str().unwrap()]);
    assert_eq!(ended.json().as_array().unwrap().len(), 2);
}

#[test]
fn the_table_names_what_stands_on_the_card_without_colours_in_a_pipe() {
    let (jpeg, truth) = clean_ktp();
    let ended = run_with(&jpeg, ["scan", "--format", "table", "-"]);
    assert!(ended.stdout.contains(&truth.fields["nik"]), "{}", ended.stdout);
    assert!(!ended.stdout.contains('\x1b'));
}

#[test]
fn annotated_pictures_are_written_for_every_card() {
    let folder = samples(2, 11);
    let out = tempfile::tempdir().unwrap();
    let annotated = path(&out, "new/annotated");
    run(["scan", "--format", "ndjson", "--annotate", &annotated, folder.path().to_str().unwrap()]);
    for name in ["00000.annotated.jpg", "00001.annotated.jpg"] {
        let picture = image::open(Path::new(&annotated).join(name)).unwrap();
        assert!(picture.width() > picture.height().min(600), "{name}");
    }
}

#[test]
fn wrong_usage_and_missing_networks_have_their_own_status() {
    assert_eq!(run(["scan"]).status, 64);
    assert_eq!(run(["scan", "--format", "xml", "x.jpg"]).status, 64);
    assert_eq!(run(["--config", "/does/not/exist.toml", "scan", "x.jpg"]).status, 64);
    assert_eq!(run(["--help"]).status, 0);

    let empty = tempfile::tempdir().unwrap();
    let mut command = filot();
    command.env("FILOT_READER_MODELS", empty.path()).args(["scan", "x.jpg"]);
    let ended = finish(command, &[]);
    assert_eq!(ended.status, 69);
    assert!(ended.stderr.contains("make models"), "{}", ended.stderr);

    let mut command = filot();
    command.env("FILOT_READER_TESSERACT", "filot-no-such-program").args([
        "scan",
        "--engine",
        "tesseract",
        "x.jpg",
    ]);
    let ended = finish(command, &[]);
    assert_eq!(ended.status, 69);
    assert!(ended.stderr.contains("apt-get install tesseract-ocr"), "{}", ended.stderr);
}

#[test]
fn completions_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(["completions", shell]);
        assert!(ended.status == 0 && ended.stdout.contains("annotate"), "{shell}");
    }
}
