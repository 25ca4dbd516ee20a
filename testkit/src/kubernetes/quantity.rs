//! Kubernetes quantities (`500m`, `1Gi`): reading, adding and writing them canonically.

use std::fmt;

const NANO: i128 = 1_000_000_000;

/// An amount in billionths, and whether it is written with binary suffixes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quantity {
    nano: i128,
    binary: bool,
}

const DECIMAL: [(&str, i32); 10] = [
    ("E", 18),
    ("P", 15),
    ("T", 12),
    ("G", 9),
    ("M", 6),
    ("k", 3),
    ("", 0),
    ("m", -3),
    ("u", -6),
    ("n", -9),
];
const BINARY: [(&str, u32); 6] = [
    ("Ei", 60),
    ("Pi", 50),
    ("Ti", 40),
    ("Gi", 30),
    ("Mi", 20),
    ("Ki", 10),
];

fn power_of_ten(exponent: i32) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(exponent + 9).ok()?)
}

impl Quantity {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let end = text
            .find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-'))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (scale, binary) = if let Some((_, bits)) = BINARY.iter().find(|(name, _)| *name == suffix) {
            (NANO << bits, true)
        } else if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
            (power_of_ten(*exponent)?, false)
        } else {
            let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            (power_of_ten(exponent)?, false)
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let negative = whole.starts_with('-');
        let whole: i128 = match whole.trim_start_matches(['+', '-']) {
            "" => 0,
            digits => digits.parse().ok()?,
        };
        let mut nano = whole.checked_mul(scale)?;
        if !fraction.is_empty() {
            let places = u32::try_from(fraction.len()).ok()?;
            nano += fraction.parse::<i128>().ok()?.checked_mul(scale)? / 10_i128.checked_pow(places)?;
        }
        Some(Self {
            nano: if negative { -nano } else { nano },
            binary,
        })
    }

    pub(crate) fn whole(number: i128) -> Self {
        Self {
            nano: number * NANO,
            binary: false,
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            nano: self.nano + other.nano,
            binary: if self.nano == 0 { other.binary } else { self.binary },
        }
    }

    pub(crate) fn exceeds(self, other: Self) -> bool {
        self.nano > other.nano
    }

    pub(crate) fn is_zero(self) -> bool {
        self.nano == 0
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

/// The canonical form: the largest suffix without a fraction.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return f.write_str("0");
        }
        if self.binary && self.nano % NANO == 0 {
            let whole = self.nano / NANO;
            for (suffix, bits) in BINARY {
                if whole % (1 << bits) == 0 {
                    return write!(f, "{}{suffix}", whole >> bits);
                }
            }
            return write!(f, "{whole}");
        }
        for (suffix, exponent) in DECIMAL {
            let Some(unit) = power_of_ten(exponent) else {
                continue;
            };
            if self.nano % unit == 0 {
                return write!(f, "{}{suffix}", self.nano / unit);
            }
        }
        write!(f, "{}n", self.nano)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        for (given, canonical) in [
            ("1", "1"),
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1500m", "1500m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("2000", "2k"),
            ("1e3", "1k"),
            ("0", "0"),
            ("100Mi", "100Mi"),
        ] {
            assert_eq!(Quantity::parse(given).unwrap().to_string(), canonical, "{given}");
        }
        assert!(Quantity::parse("lots").is_none() && Quantity::parse("").is_none());
        assert!(
            Quantity::parse("1Gi")
                .unwrap()
                .exceeds(Quantity::parse("1G").unwrap())
        );
        assert_eq!(
            Quantity::parse("1")
                .unwrap()
                .plus(Quantity::parse("1m").unwrap())
                .to_string(),
            "1001m"
        );
    }
}
