//! A JSON number as the decimal that was written, and the narrowest way to hold it exactly.

use crate::lattice::Seen;

/// Beyond this a double no longer holds every integer.
const EXACT_IN_DOUBLE: u64 = 1 << 53;
/// So many decimal digits survive a double, whatever they are.
const DIGITS_OF_DOUBLE: usize = 15;
/// PostgreSQL's limits of numeric: digits before the decimal point and behind it.
const NUMERIC_INTEGER_DIGITS: i64 = 131_072;
const NUMERIC_SCALE: i64 = 16_383;

/// A number that passed the parser's grammar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number<'a> {
    Integer(i64),
    /// A fraction or exponent whose decimal the double gives back unchanged.
    Double(f64),
    Decimal(Decimal<'a>),
    /// Beyond what numeric holds.
    OutOfRange,
}

/// The digits of a number, before and behind its decimal point, and its exponent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decimal<'a> {
    negative: bool,
    integer: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Number<'a> {
    /// Reads a token of JSON's number grammar.
    pub fn read(token: &'a [u8]) -> Number<'a> {
        if let Some(integer) = small_integer(token) {
            return Number::Integer(integer);
        }
        let decimal = Decimal::read(token);
        if decimal.is_out_of_range() {
            return Number::OutOfRange;
        }
        if !token.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            let integer = std::str::from_utf8(token)
                .ok()
                .and_then(|text| text.parse().ok());
            return integer.map_or(Number::Decimal(decimal), Number::Integer);
        }
        match std::str::from_utf8(token)
            .ok()
            .and_then(|text| text.parse::<f64>().ok())
        {
            Some(double) if decimal.survives(double) => Number::Double(double),
            _ => Number::Decimal(decimal),
        }
    }

    /// What a column must hold for it; `None` when out of range.
    pub fn seen(self) -> Option<Seen> {
        Some(match self {
            Number::Integer(value) if value.unsigned_abs() <= EXACT_IN_DOUBLE => Seen::INTEGER,
            Number::Integer(_) => Seen::WIDE_INTEGER,
            Number::Double(_) => Seen::DOUBLE,
            Number::Decimal(_) => Seen::NUMERIC,
            Number::OutOfRange => return None,
        })
    }
}

/// Up to 18 digits need no overflow check; nearly every integer comes this way.
fn small_integer(token: &[u8]) -> Option<i64> {
    let (negative, digits) = match token {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.len() > 18 {
        return None;
    }
    let mut value = 0_i64;
    for byte in digits {
        match byte {
            b'0'..=b'9' => value = value * 10 + i64::from(byte - b'0'),
            _ => return None,
        }
    }
    Some(if negative { -value } else { value })
}

impl<'a> Decimal<'a> {
    /// Splits a token of JSON's number grammar into its digits.
    pub fn read(token: &'a [u8]) -> Decimal<'a> {
        let (negative, rest) = match token {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let (mantissa, exponent) = match rest.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&rest[..at], saturating_exponent(&rest[at + 1..])),
            None => (rest, 0),
        };
        let (integer, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
            Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
            None => (mantissa, &[][..]),
        };
        Decimal {
            negative,
            integer,
            fraction,
            exponent,
        }
    }

    fn digits(&self) -> impl DoubleEndedIterator<Item = u8> + Clone {
        self.integer
            .iter()
            .chain(self.fraction)
            .map(|byte| byte - b'0')
    }

    fn is_zero(&self) -> bool {
        self.digits().all(|digit| digit == 0)
    }

    /// How many digits stand before the decimal point once the exponent is carried out.
    fn point(&self) -> i64 {
        self.exponent.saturating_add(self.integer.len() as i64)
    }

    /// How many digits stand behind the decimal point.
    fn scale(&self) -> i64 {
        (self.fraction.len() as i64)
            .saturating_sub(self.exponent)
            .max(0)
    }

    pub fn is_out_of_range(&self) -> bool {
        let leading_zeros = self.digits().take_while(|digit| *digit == 0).count() as i64;
        let integer_digits = if self.is_zero() {
            0
        } else {
            self.point() - leading_zeros
        };
        integer_digits > NUMERIC_INTEGER_DIGITS || self.scale() > NUMERIC_SCALE
    }

    /// Whether `double`, which was read from this token, gives the same decimal back.
    fn survives(&self, double: f64) -> bool {
        if !double.is_finite() {
            return false;
        }
        let zeros_before = self.digits().take_while(|digit| *digit == 0).count();
        let zeros_behind = self.digits().rev().take_while(|digit| *digit == 0).count();
        let length = self.integer.len() + self.fraction.len();
        if zeros_before == length {
            return true;
        }
        let significant = length - zeros_before - zeros_behind;
        let point = self.point() - zeros_before as i64;
        if significant <= DIGITS_OF_DOUBLE && (-290..=290).contains(&point) {
            return true;
        }
        // Shortest digits that read back as this double, as PostgreSQL prints it.
        let shortest = format!("{:e}", double.abs());
        let shortest = Decimal::read(shortest.as_bytes());
        shortest.point() == point
            && shortest
                .digits()
                .eq(self.digits().skip(zeros_before).take(significant))
    }

    /// Appends PostgreSQL's binary numeric: groups of four digits around the decimal point.
    pub fn put_numeric(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 8]);
        let scale = self.scale() as u16;
        let (mut groups, mut weight) = (0_u16, 0_i64);
        if !self.is_zero() {
            let point = self.point();
            // Pad in front so that a group ends at the decimal point.
            let padding = (-point).rem_euclid(4);
            weight = (point + padding) / 4 - 1;
            let (mut group, mut filled, mut trailing_zero_groups) = (0_u16, padding, 0_u16);
            let digits = self.digits();
            let mut put = |group: u16| {
                if group == 0 && groups == 0 {
                    weight -= 1; // leading zero groups are not stored
                    return;
                }
                trailing_zero_groups = if group == 0 {
                    trailing_zero_groups + 1
                } else {
                    0
                };
                out.extend_from_slice(&group.to_be_bytes());
                groups += 1;
            };
            for digit in digits {
                group = group * 10 + u16::from(digit);
                filled += 1;
                if filled == 4 {
                    put(group);
                    (group, filled) = (0, 0);
                }
            }
            if filled > 0 {
                put(group * 10_u16.pow(4 - filled as u32));
            }
            groups -= trailing_zero_groups;
            out.truncate(start + 8 + 2 * usize::from(groups));
        }
        let sign: u16 = if self.negative && groups > 0 {
            0x4000
        } else {
            0
        };
        out[start..start + 2].copy_from_slice(&groups.to_be_bytes());
        out[start + 2..start + 4].copy_from_slice(&(weight as i16).to_be_bytes());
        out[start + 4..start + 6].copy_from_slice(&sign.to_be_bytes());
        out[start + 6..start + 8].copy_from_slice(&scale.to_be_bytes());
    }
}

fn saturating_exponent(text: &[u8]) -> i64 {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let magnitude = digits.iter().fold(0_i64, |value, byte| {
        (value * 10 + i64::from(byte - b'0')).min(1_000_000_000)
    });
    if negative { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(token: &str) -> Number<'_> {
        Number::read(token.as_bytes())
    }

    fn seen(token: &str) -> Option<Seen> {
        read(token).seen()
    }

    #[test]
    fn an_integer_is_a_bigint_as_long_as_it_is_one() {
        assert_eq!(read("0"), Number::Integer(0));
        assert_eq!(read("-9223372036854775808"), Number::Integer(i64::MIN));
        assert_eq!(seen("9007199254740992"), Some(Seen::INTEGER));
        assert_eq!(seen("9007199254740993"), Some(Seen::WIDE_INTEGER));
        assert_eq!(seen("18446744073709551615"), Some(Seen::NUMERIC));
    }

    #[test]
    fn a_fraction_is_a_double_only_where_no_digit_changes() {
        for kept in [
            "12.0",
            "0.1",
            "1e3",
            "-0.0",
            "1.7976931348623157e308",
            "5e-324",
            "0.30000000000000004",
            "1.50000000000000000000",
        ] {
            assert_eq!(seen(kept), Some(Seen::DOUBLE), "{kept}");
        }
        for lost in [
            "0.1000000000000000055511151231257827",
            "1e400",
            "1e-400",
            "9007199254740993.5",
            "0.123456789012345678",
        ] {
            assert_eq!(seen(lost), Some(Seen::NUMERIC), "{lost}");
        }
        assert_eq!(seen("1e131072"), None);
        assert_eq!(seen("1e-16384"), None);
        assert_eq!(seen("1e99999999999999999999"), None);
    }

    #[test]
    fn numeric_is_written_in_groups_around_the_point() {
        let binary = |token: &str| {
            let mut out = Vec::new();
            Decimal::read(token.as_bytes()).put_numeric(&mut out);
            out.chunks(2)
                .map(|pair| i16::from_be_bytes([pair[0], pair[1]]))
                .collect::<Vec<_>>()
        };
        assert_eq!(binary("12345.678"), [3, 1, 0, 3, 1, 2345, 6780]);
        assert_eq!(binary("-0.0001"), [1, -1, 0x4000, 4, 1]);
        assert_eq!(binary("0.00001"), [1, -2, 0, 5, 1000]);
        assert_eq!(binary("1e8"), [1, 2, 0, 0, 1]);
        assert_eq!(binary("0.00"), [0, 0, 0, 2]);
        assert_eq!(binary("120000000"), [2, 2, 0, 0, 1, 2000]);
    }
}
