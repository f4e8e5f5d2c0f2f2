use proptest::prelude::*;

use super::*;

/// One picture as encoders write it: in one scan, with restart markers, progressive, each channel in a scan of its own, and
/// with colours at a third of the width.
const FILES: [&[u8]; 5] = [
    include_bytes!("../../../tests/data/sequential.jpg"),
    include_bytes!("../../../tests/data/restarts.jpg"),
    include_bytes!("../../../tests/data/scans.jpg"),
    include_bytes!("../../../tests/data/apart.jpg"),
    include_bytes!("../../../tests/data/thirds.jpg"),
];

fn decoded(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    decode(bytes, 1, &Limits::default())
}

/// Mean difference of two pictures in grey levels.
fn difference(one: &RgbImage, other: &RgbImage) -> f32 {
    let off = one.as_raw().iter().zip(other.as_raw()).map(|(a, b)| f32::from(a.abs_diff(*b)));
    off.sum::<f32>() / one.as_raw().len() as f32
}

/// Where the data of the first scan begins, and where the end marker stands.
fn data(bytes: &[u8]) -> std::ops::Range<usize> {
    let scan = bytes.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    scan + 2 + segment(bytes, scan + 2).unwrap().len() + 2..bytes.len() - 2
}

#[test]
fn however_it_is_coded_it_is_the_same_picture() {
    let expected = decoded(FILES[0]).unwrap();
    for (n, file) in FILES.iter().enumerate() {
        let picture = decoded(file).unwrap();
        let off = difference(&picture, &expected);
        assert!(off < if n == 4 { 12.0 } else { 2.0 }, "file {n}: {off}");
    }
}

#[test]
fn a_picture_that_lacks_rows_is_none_whatever_stands_at_its_end() {
    for (n, file) in FILES.iter().enumerate() {
        let data = data(file);
        for end in (data.start..data.end - 3).step_by(17) {
            for mark in [&[][..], &[0xFF, 0xD9]] {
                let cut = [&file[..end], mark].concat();
                assert!(decoded(&cut).is_err(), "file {n} cut at {end}");
            }
        }
        // All rows are there; only the mark of the end is not, or a camera left something before it. Cameras write one
        // scan.
        let ends = [&[][..], &[0xFF], &[0xFF, 0xD9, 1, 2, 3], &[0, 0, 0xFF, 0xD9]];
        for end in &ends[..if n == 2 || n == 3 { 3 } else { 4 }] {
            decoded(&[&file[..data.end], *end].concat()).unwrap_or_else(|error| panic!("file {n}: {error}"));
        }
    }
}

#[test]
fn a_progressive_picture_without_its_last_scans_is_none() {
    let file = FILES[2];
    let scans: Vec<usize> = (0..file.len() - 1).filter(|&at| file[at..at + 2] == [0xFF, 0xDA]).collect();
    assert!(scans.len() > 5);
    for (n, scan) in scans.iter().enumerate() {
        let coarse = [&file[..*scan], &[0xFF, 0xD9]].concat();
        assert!(matches!(decoded(&coarse), Err(ImageError::Truncated)), "cut at {scan}");
        let next = scans.get(n + 1).map_or(file.len() - 2, |next| *next);
        let without = [&file[..*scan], &file[next..]].concat();
        assert!(decoded(&without).is_err(), "without scan {n}");
    }
}

#[test]
fn damage_that_shifts_the_picture_is_noticed() {
    for (n, file) in FILES.iter().enumerate() {
        let (whole, data) = (decoded(file).unwrap(), data(file));
        let (mut shifted, mut noticed) = (0, 0);
        for at in (data.start..data.end - 24).step_by(5) {
            let mut damaged = file.to_vec();
            damaged[at..at + 24]
                .iter_mut()
                .for_each(|byte| *byte = byte.wrapping_mul(13).wrapping_add(5) & 0x7F);
            match decoded(&damaged) {
                Err(_) => (shifted, noticed) = (shifted + 1, noticed + 1),
                Ok(picture) => shifted += u32::from(difference(&picture, &whole) > 12.0),
            }
        }
        assert!(shifted > 40 && noticed * 10 >= shifted * 6, "file {n}: {noticed} of {shifted}");
    }
}

#[test]
fn a_segment_that_runs_past_the_end_is_no_end() {
    let file = FILES[0];
    let hidden = [&file[..file.len() - 2], &[0xFF, 0xE1, 0xFF, 0xFF], b"Exif\0\0"].concat();
    assert!(decoded(&hidden).is_err());
}

#[test]
fn restart_markers_come_in_their_order() {
    let file = FILES[1];
    let marks: Vec<usize> =
        (0..file.len() - 1).filter(|&at| file[at] == 0xFF && matches!(file[at + 1], 0xD0..=0xD7)).collect();
    assert!(marks.len() > 4);
    let lost = [&file[..marks[1]], &file[marks[2]..]].concat();
    assert!(decoded(&lost).is_err(), "a part between two markers is lost");
    // As many parts as there should be, two of them exchanged.
    let parts = [&file[..marks[1]], &file[marks[2]..marks[3]], &file[marks[1]..marks[2]], &file[marks[3]..]];
    assert!(decoded(&parts.concat()).is_err(), "parts that stand in another's place");
}

proptest! {
    #[test]
    fn no_damage_makes_it_panic(
        which in 0..FILES.len(),
        changes in proptest::collection::vec((0.0..1.0_f64, any::<u8>()), 1..40),
        cut in 0.2..1.0_f64,
    ) {
        let mut bytes = FILES[which].to_vec();
        for (place, value) in changes {
            let at = 2 + (place * (bytes.len() - 3) as f64) as usize;
            bytes[at] = value;
        }
        bytes.truncate((cut * bytes.len() as f64) as usize + 4);
        let _ = entropy::check(&bytes);
    }
}
