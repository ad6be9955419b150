//! [`Effort`]: the dial between a quick commit and small storage.

/// Objects from this size on get a block of their own.
pub(crate) const SMALL: usize = 64 << 10;

/// How much work goes into small storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effort {
    /// Nothing is coded against other objects; zstd at its quickest.
    Fast,
    /// What pays at the speed of a commit.
    #[default]
    Normal,
    /// What pays when nobody waits.
    Best,
}

/// How bytes of which nothing is known are compressed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Levels {
    /// The zstd level of single chunks. At a commit 1: level 3 is half as fast and no smaller on
    /// numeric text.
    pub(crate) chunk: i32,
    /// The level of blocks of many small objects, where matches across objects pay.
    pub(crate) solid: i32,
    /// Raw bytes of such a block: a random read decodes this much.
    pub(crate) solid_bytes: usize,
}

impl Levels {
    pub(crate) fn of(effort: Effort) -> Levels {
        match effort {
            Effort::Fast => Levels { chunk: 1, solid: 1, solid_bytes: 256 << 10 },
            Effort::Normal => Levels { chunk: 1, solid: 3, solid_bytes: 320 << 10 },
            Effort::Best => Levels { chunk: 9, solid: 12, solid_bytes: (1 << 20) - SMALL },
        }
    }
}
