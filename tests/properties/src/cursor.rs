//! [`Cursor`]: a fuzzer's bytes as choices.

/// Takes choices off the front of bytes; when there are none left, all further ones are zero.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn number(&mut self) -> usize {
        usize::from(self.byte())
    }

    pub(crate) fn word(&mut self) -> usize {
        self.number() | self.number() << 8
    }

    pub(crate) fn long(&mut self) -> u64 {
        (0..8).fold(0, |sum, n| sum | u64::from(self.byte()) << (8 * n))
    }

    /// So many bytes, or what is left.
    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        head
    }
}

/// Splits bytes at the separators, into exactly so many pieces; those that are missing are empty.
pub(crate) fn split<const N: usize>(bytes: &[u8], separator: u8) -> [&[u8]; N] {
    let mut pieces = bytes.splitn(N, |b| *b == separator);
    std::array::from_fn(|_| pieces.next().unwrap_or_default())
}
