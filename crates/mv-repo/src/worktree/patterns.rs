//! What patterns with the grammar of `.gitignore` may cost: they come from strangers, and each is
//! compiled to a program that takes some hundred times its length.
//!
//! The costs are those of the matcher in use, measured and rounded up; a project of ten thousand
//! patterns stays far below the room there is.

/// Bytes of the longest pattern; there is no longer path.
const MAX_PATTERN: usize = 4096;
/// `{` within each other: the matcher follows them by recursion.
const MAX_NESTING: usize = 16;
/// Bytes that the patterns of a configuration, or all that hold in one directory, may take.
const ROOM: usize = 48 << 20;

/// Room for compiled patterns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room(usize);

impl Room {
    /// Room of which nothing is taken.
    pub(super) fn new() -> Room {
        Room(ROOM)
    }

    /// Whether nothing more fits.
    pub(super) fn is_full(self) -> bool {
        self.0 == 0
    }

    /// Takes room for one more matcher.
    pub(super) fn take_matcher(&mut self) -> Result<(), &'static str> {
        self.take(8 << 10)
    }

    /// Takes room for a line, unless it is a comment or blank.
    pub(super) fn take_line(&mut self, line: &str) -> Result<(), &'static str> {
        if line.starts_with('#') || line.trim().is_empty() {
            return Ok(());
        }
        if line.len() > MAX_PATTERN {
            return Err("the pattern is longer than 4096 bytes");
        }
        if nesting(line) > MAX_NESTING {
            return Err("more than 16 `{` are within each other");
        }
        let literal = !line.contains(['*', '?', '[', '{', '\\']);
        self.take(if literal { 1024 + 16 * line.len() } else { 4096 + 640 * line.len() })
    }

    fn take(&mut self, bytes: usize) -> Result<(), &'static str> {
        match self.0.checked_sub(bytes) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => {
                self.0 = 0;
                Err("there are too many patterns to hold in memory")
            }
        }
    }
}

/// The most `{` that are open at once, whatever else they mean where they stand.
fn nesting(line: &str) -> usize {
    let (mut open, mut most) = (0usize, 0);
    for byte in line.bytes() {
        match byte {
            b'{' => open += 1,
            b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_patterns_fit_and_a_million_do_not() {
        let mut room = Room::new();
        assert!((0..4_000).all(|n| room.take_line(&format!("*.ext{n}")).is_ok()));
        assert!((0..6_000).all(|n| room.take_line(&format!("data/part-{n}.bin")).is_ok()));
        assert!((0..1_000_000).any(|n| room.take_line(&format!("data/{n}")).is_err()));
        assert!(room.is_full() && room.take_line("x").is_err() && room.take_line("# x").is_ok());
    }

    #[test]
    fn braces_may_be_nested_a_little() {
        assert!(Room::new().take_line("{a,{b,{c,d}}}{e,f}").is_ok());
        assert!(Room::new().take_line(&"{a,b}".repeat(100)).is_ok());
        assert!(Room::new().take_line(&"{a,".repeat(17)).is_err());
        assert!(Room::new().take_line(&"a".repeat(4097)).is_err());
    }
}
