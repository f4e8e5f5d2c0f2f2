//! How much is logged. What the subscriber would take for a filter and then log nothing for is refused instead.

/// The levels, as `log.level` spells them.
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// Crates whose parts can have a level of their own.
const CRATES: &[&str] = &[
    "filot",
    "filot_cards",
    "filot_ocr",
    "filot_temporal",
    "axum",
    "h2",
    "hyper",
    "hyper_util",
    "object_store",
    "opentelemetry",
    "opentelemetry_otlp",
    "opentelemetry_sdk",
    "redis",
    "reqwest",
    "rustls",
    "sea_orm",
    "sea_orm_migration",
    "sqlx",
    "temporalio_client",
    "temporalio_sdk",
    "tower_http",
];

/// Notes what is wrong with `log.level`: every part is a level, or `target=level` with a target that exists. A word that
/// is neither would be taken for a target, and everything else be silent.
pub(crate) fn log_level(text: &str, problems: &mut Vec<String>) {
    let before = problems.len();
    let is_level = |word: &str| LEVELS.contains(&word.to_ascii_lowercase().as_str());
    let mut general = false;
    for part in text.split(',').map(str::trim) {
        match part.split_once('=') {
            None if is_level(part) => general = true,
            None => problems.push(format!(
                "log.level (LOG_LEVEL): {part:?} is no level; it may be {}, or target=level behind one of these",
                LEVELS.join(", ")
            )),
            Some((target, level)) => {
                let name = target.trim().split("::").next().unwrap_or_default();
                if !is_level(level.trim()) {
                    problems.push(format!(
                        "log.level (LOG_LEVEL): {level:?} is no level; it may be {}",
                        LEVELS.join(", ")
                    ));
                } else if !CRATES.contains(&name) {
                    problems.push(format!(
                        "log.level (LOG_LEVEL): nothing logs as {target:?}; known are {}",
                        CRATES.join(", ")
                    ));
                }
            }
        }
    }
    if !general && problems.len() == before {
        problems.push(
            "log.level (LOG_LEVEL) must begin with a level for everything, as in info,filot::worker=debug"
                .to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_in_the_level_is_told_and_not_taken_for_a_target() {
        let told = |text: &str| {
            let mut problems = Vec::new();
            log_level(text, &mut problems);
            problems.join(" ")
        };
        for good in ["info", "WARN", "off", "debug,sqlx=warn", "info, filot::worker=trace"] {
            assert_eq!(told(good), "", "{good}");
        }
        for bad in
            ["", "inof", "warning", "info,debgu", "filot=debug", "info,fliot=debug", "info,filot=loud", "5"]
        {
            assert!(told(bad).contains("log.level"), "{bad}");
        }
    }
}
