//! Numbers, and other things with bounds.

use super::{Walk, expand};
use serde_json::Value;

impl Walk<'_> {
    /// A number: integers by their range, which their format says too.
    pub(super) fn number(&mut self, old: &Value, new: &Value, field: &str) {
        if let Some(value) = old.get("const").and_then(Value::as_f64) {
            let (least, most) = range(new);
            if value < least || value > most {
                self.report(field, format!("was {value}, which is out of range now"), None);
            }
            return;
        }
        let ((old_least, old_most), (least, most)) = (range(old), range(new));
        if old_least < least || old_most > most {
            let (was, is) = (expand::name(old), expand::name(new));
            let what = if was == is {
                format!("has a smaller range than before, as {is}")
            } else {
                format!("was {was}, and is {is} now, which does not hold all of it")
            };
            self.report(field, what, Some("a type that holds all of it"));
        }
    }

    /// Lengths, where a schema says any.
    pub(super) fn bounds(&mut self, old: &Value, new: &Value, field: &str) {
        let of = |schema: &Value, key: &str| schema.get(key).and_then(Value::as_u64);
        let (least, most) = (["minItems", "minLength"], ["maxItems", "maxLength"]);
        let longer = least.iter().any(|key| of(new, key).unwrap_or(0) > of(old, key).unwrap_or(0));
        let shorter = most
            .iter()
            .any(|key| of(new, key).unwrap_or(u64::MAX) < of(old, key).unwrap_or(u64::MAX));
        if longer || shorter {
            self.report(field, "may have fewer lengths than before".to_owned(), None);
        }
    }
}

/// From the least to the greatest. Not exact above 2^53, where no two formats are told apart by
/// less than a factor of two.
fn range(schema: &Value) -> (f64, f64) {
    let format = schema.get("format").and_then(Value::as_str);
    let (least, most) = match format {
        Some("uint8") => (0.0, f64::from(u8::MAX)),
        Some("uint16") => (0.0, f64::from(u16::MAX)),
        Some("uint32") => (0.0, f64::from(u32::MAX)),
        Some("uint" | "uint64") => (0.0, u64::MAX as f64),
        Some("uint128") => (0.0, u128::MAX as f64),
        Some("int8") => (f64::from(i8::MIN), f64::from(i8::MAX)),
        Some("int16") => (f64::from(i16::MIN), f64::from(i16::MAX)),
        Some("int32") => (f64::from(i32::MIN), f64::from(i32::MAX)),
        Some("int" | "int64") => (i64::MIN as f64, i64::MAX as f64),
        Some("int128") => (i128::MIN as f64, i128::MAX as f64),
        Some("float") => (f64::from(f32::MIN), f64::from(f32::MAX)),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    };
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let least = bound("minimum").or(bound("exclusiveMinimum")).unwrap_or(least).max(least);
    let most = bound("maximum").or(bound("exclusiveMaximum")).unwrap_or(most).min(most);
    (least, most)
}
