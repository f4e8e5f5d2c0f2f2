//! Lays one table of settings over another, with the lower one as schema.

use toml::{Table, Value};

/// Copies every setting of `own` into `settings`. What `settings` does not know, or knows as another type, is a problem.
pub(super) fn overlay(settings: &mut Table, own: Table, problems: &mut Vec<String>) {
    for (section, value) in own {
        let Some(Value::Table(known)) = settings.get_mut(&section) else {
            problems.push(format!("unknown section [{section}]"));
            continue;
        };
        let Value::Table(values) = value else {
            problems.push(format!("{section} must be a section: [{section}]"));
            continue;
        };
        for (key, value) in values {
            match known.get_mut(&key) {
                None => problems.push(format!("unknown setting {section}.{key}")),
                Some(slot) => match fitting(slot, value) {
                    Ok(value) => *slot = value,
                    Err(wanted) => problems.push(format!("{section}.{key} must be {wanted}")),
                },
            }
        }
    }
}

/// `value` if it is of the same type as `slot`, else what the type should be. An integer also serves as a fraction.
fn fitting(slot: &Value, value: Value) -> Result<Value, &'static str> {
    match (slot, value) {
        (Value::Float(_), Value::Integer(n)) => Ok(Value::Float(n as f64)),
        (slot, value) if slot.same_type(&value) => Ok(value),
        (slot, _) => Err(wanted(slot)),
    }
}

/// What a setting must be, in words.
pub(super) fn wanted(slot: &Value) -> &'static str {
    match slot {
        Value::String(_) => "text in quotes",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        _ => "a list",
    }
}
