//! Class `numops`: arithmetic on decimal numbers under omap keys (Ceph `src/cls/numops/cls_numops.cc`).

use bytes::Bytes;
use encoding::Errno;

use crate::{
    ObjectContext, Result,
    support::{Ctx, arg, done},
};

/// Significant digits that are stored.
const PRECISION: usize = 10;

/// A number as C's `strtod` reads it if that must take all of the text: nothing is zero.
fn parse(text: &[u8]) -> Option<f64> {
    let text = text.split(|b| *b == 0).next().unwrap_or_default();
    match text.trim_ascii_start() {
        b"" => Some(0.0),
        text => std::str::from_utf8(text).ok()?.parse().ok(),
    }
}

/// A number as C's `%.10g` writes it.
fn format(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string().to_ascii_lowercase();
    }
    let scientific = format!("{value:.*e}", PRECISION - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |s: &str| match s.contains('.') {
        true => s.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => s.to_owned(),
    };
    match usize::try_from(PRECISION as i32 - 1 - exponent) {
        Ok(decimals) if exponent >= -4 => trim(&format!("{value:.decimals$}")),
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
        }
    }
}

fn apply(ctx: &mut Ctx<'_>, input: &Bytes, op: fn(f64, f64) -> f64) -> Result<Bytes> {
    let (key, operand): (Bytes, Bytes) = arg(input)?;
    let operand = parse(&operand).ok_or(Errno::EINVAL)?;
    let old = ctx.omap_get(&key)?.unwrap_or_default();
    let old = parse(&old).ok_or(Errno::EBADMSG)?;
    ctx.omap_set(vec![(key, format(op(old, operand)).into())])?;
    done()
}

/// `numops.add`: key and what to add to its number.
pub(crate) fn add(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    apply(ctx, &input, |a, b| a + b)
}

/// `numops.mul`: key and by what to multiply its number.
pub(crate) fn mul(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    apply(ctx, &input, |a, b| a * b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_does_with_ten_digits() {
        for (value, text) in [
            (0.0, "0"),
            (10.0, "10"),
            (-1.5, "-1.5"),
            (1.0 / 3.0, "0.3333333333"),
            (123_456_789_012.0, "1.23456789e+11"),
            (9_999_999_999.0, "9999999999"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(format(value), text);
        }
    }

    #[test]
    fn numbers_are_read_as_c_does() {
        for (text, value) in [
            ("", Some(0.0)),
            (" 1e3", Some(1000.0)),
            ("-.5", Some(-0.5)),
            ("1x", None),
        ] {
            assert_eq!(parse(text.as_bytes()), value, "{text:?}");
        }
    }
}
