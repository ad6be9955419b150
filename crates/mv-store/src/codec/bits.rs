//! Bits one after the other, the lowest bit of a byte first: how tables are written.

/// Writes bits; the last byte is filled up with zeros.
#[derive(Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    held: u64,
    count: u32,
}

impl BitWriter {
    /// Appends the low `bits` bits of a value, at most 32.
    pub(crate) fn push(&mut self, value: u32, bits: u32) {
        debug_assert!(bits <= 32 && u64::from(value) < 1 << bits, "value has `bits` bits");
        self.held |= u64::from(value) << self.count;
        self.count += bits;
        while self.count >= 8 {
            self.bytes.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Returns whole bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.held as u8);
        }
        self.bytes
    }
}

/// Reads what [`BitWriter`] wrote.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    /// Starts at the first bit.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        BitReader { bytes, at: 0 }
    }

    /// Takes `bits` bits, at most 32; refuses when fewer are left.
    pub(crate) fn take(&mut self, bits: u32) -> Result<u32, String> {
        let mut value = 0;
        for bit in 0..bits {
            let byte = *self.bytes.get(self.at >> 3).ok_or("tables end too early")?;
            value |= u32::from(byte >> (self.at & 7) & 1) << bit;
            self.at += 1;
        }
        Ok(value)
    }

    /// Returns the bytes behind the last one that was begun, whose unread bits must be zero.
    pub(crate) fn finish(self) -> Result<&'a [u8], String> {
        let used = self.at.div_ceil(8);
        if self.at & 7 != 0 && self.bytes.get(used - 1).is_some_and(|b| b >> (self.at & 7) != 0) {
            return Err("bits behind the tables are not zero".into());
        }
        self.bytes.get(used..).ok_or_else(|| "tables end too early".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(parts: &[(u32, u32)]) -> Vec<u8> {
        let mut writer = BitWriter::default();
        for &(value, bits) in parts {
            writer.push(value, bits);
        }
        writer.finish()
    }

    #[test]
    fn the_first_bit_is_the_lowest_of_the_first_byte() {
        assert_eq!(
            written(&[(1, 1), (0, 2), (0b101, 3), (u32::MAX, 32)]),
            [0b1110_1001, 255, 255, 255, 0b11_1111]
        );
    }

    #[test]
    fn bits_come_back_and_the_rest_is_left() {
        let bytes = [written(&[(5, 3), (77, 12)]), vec![9, 9]].concat();
        let mut reader = BitReader::new(&bytes);
        assert_eq!((reader.take(3), reader.take(12)), (Ok(5), Ok(77)));
        assert_eq!(reader.finish(), Ok(&[9, 9][..]));
    }

    #[test]
    fn too_few_bits_and_bits_that_nobody_reads_are_refused() {
        let mut reader = BitReader::new(&[255]);
        assert!(reader.take(9).is_err());
        let mut reader = BitReader::new(&[0b100]);
        reader.take(2).unwrap();
        assert!(reader.finish().is_err());
    }
}
