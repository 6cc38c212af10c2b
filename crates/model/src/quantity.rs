//! Kubernetes quantities of storage, as whole bytes
//! (k8s.io/apimachinery/pkg/api/resource, `Quantity`).

const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [&str; 6] = ["k", "M", "G", "T", "P", "E"];

/// A quantity in bytes, rounded up; `None` if it is not one, or beyond what 64 bits hold.
pub fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let power = |units: &[&str], base: f64| {
        let at = units.iter().position(|unit| *unit == suffix)?;
        Some(base.powi(i32::try_from(at).ok()? + 1))
    };
    let factor = match suffix {
        "" => 1.0,
        "m" => 0.001,
        _ => power(&BINARY, 1024.0).or_else(|| power(&DECIMAL, 1000.0)).or_else(|| {
            suffix.strip_prefix(['e', 'E'])?.parse().ok().map(|exponent: i32| 10f64.powi(exponent))
        })?,
    };
    let value = (number * factor).ceil();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (0.0..9.2e18).contains(&value).then_some(value as u64)
}

/// Bytes as the largest unit that says them exactly.
pub fn text(bytes: u64) -> String {
    let exact = BINARY.iter().enumerate().rev().find_map(|(at, unit)| {
        let size = 1u64.checked_shl(10 * (u32::try_from(at).ok()? + 1))?;
        (bytes > 0 && bytes.is_multiple_of(size)).then(|| format!("{}{unit}", bytes / size))
    });
    exact.unwrap_or_else(|| bytes.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_means_them() {
        for (text, value) in [
            ("1Gi", Some(1 << 30)),
            ("1.5Ki", Some(1536)),
            ("2G", Some(2_000_000_000)),
            ("128974848", Some(128_974_848)),
            ("129e6", Some(129_000_000)),
            ("1500m", Some(2)),
            ("1Xi", None),
            ("", None),
            ("-1Gi", None),
        ] {
            assert_eq!(bytes(text), value, "{text}");
        }
    }

    #[test]
    fn bytes_are_written_exactly() {
        for value in [0, 1, 1024, 1536, 10 << 30, (10 << 30) + 1, u64::MAX] {
            assert!(bytes(&text(value)) == Some(value) || value > 9 << 59, "{value}");
        }
        assert_eq!(text(10 << 30), "10Gi");
    }
}
