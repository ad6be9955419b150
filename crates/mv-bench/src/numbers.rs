//! Narrow floats: from fp32 by rounding to the nearest, ties to even, as every framework casts.

/// The upper half of an fp32, rounded.
pub(crate) fn bf16_of(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

/// The fp32 of the same value.
pub(crate) fn f32_of_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// IEEE half precision, rounded; what is too large becomes infinity.
pub(crate) fn fp16_of(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00;
    }
    // From 65520 on the nearest half is infinity.
    if magnitude >= 0x477f_f000 {
        return sign | 0x7c00;
    }
    if magnitude < 0x3880_0000 {
        // Below 2^-14 halves are multiples of 2^-24: adding 0.5 lets the adder round to those.
        let rounded = f32::from_bits(magnitude) + 0.5;
        return sign | (rounded.to_bits() - 0x3f00_0000) as u16;
    }
    let rebased = magnitude - 0x3800_0000;
    let rounded = rebased + 0x0fff + ((rebased >> 13) & 1);
    sign | (rounded >> 13) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_ties_to_even() {
        assert_eq!(bf16_of(1.0), 0x3f80);
        assert_eq!(bf16_of(f32::from_bits(0x3f80_8000)), 0x3f80);
        assert_eq!(bf16_of(f32::from_bits(0x3f81_8000)), 0x3f82);
        assert_eq!(bf16_of(f32::from_bits(0x3f80_8001)), 0x3f81);
        assert_eq!(bf16_of(f32::MAX), 0x7f80);
        assert!(f32_of_bf16(bf16_of(f32::NAN)).is_nan());
    }

    #[test]
    fn fp16_agrees_with_ieee_754() {
        let cases = [
            (0.0, 0x0000),
            (-0.0, 0x8000),
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (65504.0, 0x7bff),
            (65519.0, 0x7bff),
            (65520.0, 0x7c00),
            (f32::INFINITY, 0x7c00),
            (6.103_515_6e-5, 0x0400),
            (5.960_464_5e-8, 0x0001),
            // Half of the smallest, and a tie between 1 and 2 of them.
            (2.980_232_2e-8, 0x0000),
            (8.940_697e-8, 0x0002),
            // Ties at the last place of 1.0.
            (1.0 + 1.0 / 2048.0, 0x3c00),
            (1.0 + 3.0 / 2048.0, 0x3c02),
        ];
        for (value, half) in cases {
            assert_eq!(fp16_of(value), half, "{value}");
        }
        assert_eq!(fp16_of(f32::NAN) & 0x7e00, 0x7e00);
    }
}
