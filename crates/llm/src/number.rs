//! Numbers in the replies of model servers, however a server writes them.

use serde_json::Value;

/// A count: a number, also with a decimal point, or a text that is one (`"8192"`). A negative one is 0.
pub(crate) fn count(value: &Value) -> Option<u64> {
    let text = value.as_str().map(str::trim);
    let whole = value.as_u64().or_else(|| text?.parse().ok());
    // Counts are far below where floats are not exact.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rounded = |number: f64| number.is_finite().then(|| number.max(0.0) as u64);
    let number = || value.as_f64().or_else(|| text?.parse().ok());
    whole.or_else(|| number().and_then(rounded))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_count_is_read_however_it_is_written() {
        for (value, number) in [
            (json!(8_192), Some(8_192)),
            (json!(8_192.0), Some(8_192)),
            (json!("8192"), Some(8_192)),
            (json!(" 8192.0 "), Some(8_192)),
            (json!(-1), Some(0)),
            (json!("-1"), Some(0)),
            (json!("8k"), None),
            (json!("inf"), None),
            (json!(""), None),
            (json!(null), None),
            (json!([8_192]), None),
        ] {
            assert_eq!(count(&value), number, "{value}");
        }
    }
}
