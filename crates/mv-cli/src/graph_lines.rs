//! The lines of `log --graph`: one lane for each line of history that is still open.
//!
//! Versions come newest first. A lane waits for the id of the next version on it; a version takes
//! the first lane that waits for it, and the other lanes that do end there.

use mv_store::Hash;

/// The open lanes while a history is drawn.
#[derive(Default)]
pub(crate) struct Lanes {
    waiting: Vec<Hash>,
}

/// What stands before the text of one version.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// A line above the version where lanes end in it, if any do.
    pub(crate) joins: Option<String>,
    /// Before the first line of text.
    pub(crate) star: String,
    /// A line below the text where lanes begin, if any do.
    pub(crate) forks: Option<String>,
    /// Before the other lines of text.
    pub(crate) rest: String,
}

impl Lanes {
    /// Draws the next version; `parents` are those that will be drawn too.
    pub(crate) fn row(&mut self, id: &Hash, parents: &[Hash]) -> Row {
        let column = match self.waiting.iter().position(|w| w == id) {
            Some(column) => column,
            None => {
                self.waiting.push(*id);
                self.waiting.len() - 1
            }
        };
        let joins = self.join(id, column);
        let star = self.line(|i| if i == column { '*' } else { '|' });
        let mut added = Vec::new();
        match parents.split_first() {
            None => {
                self.waiting.remove(column);
            }
            Some((first, others)) => {
                self.waiting[column] = *first;
                for parent in others {
                    if !self.waiting.contains(parent) {
                        self.waiting.push(*parent);
                        added.push(self.waiting.len() - 1);
                    }
                }
            }
        }
        let forks =
            (!added.is_empty()).then(|| self.line(|i| if added.contains(&i) { '\\' } else { '|' }));
        Row { joins, star, forks, rest: self.line(|_| '|') }
    }

    /// Ends every lane right of `column` that waits for the same version.
    fn join(&mut self, id: &Hash, column: usize) -> Option<String> {
        let ends = |i: usize, lane: &Hash| i > column && lane == id;
        if !self.waiting.iter().enumerate().any(|(i, lane)| ends(i, lane)) {
            return None;
        }
        let line = self.line(|i| if ends(i, &self.waiting[i]) { '/' } else { '|' });
        let mut at = 0;
        self.waiting.retain(|lane| {
            at += 1;
            !ends(at - 1, lane)
        });
        Some(line)
    }

    fn line(&self, mark: impl Fn(usize) -> char) -> String {
        (0..self.waiting.len()).flat_map(|i| [mark(i), ' ']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn h(n: u8) -> Hash {
        Hash([n; 32])
    }

    fn draw(history: &[(u8, &[u8])]) -> Vec<String> {
        let mut lanes = Lanes::default();
        let mut lines = Vec::new();
        for (id, parents) in history {
            let parents: Vec<Hash> = parents.iter().map(|p| h(*p)).collect();
            let row = lanes.row(&h(*id), &parents);
            lines.extend(row.joins.map(|l| l.trim_end().to_owned()));
            lines.push(format!("{}{id}", row.star));
            lines.extend(row.forks.map(|l| l.trim_end().to_owned()));
        }
        lines
    }

    #[test]
    fn a_straight_history_is_one_lane() {
        assert_eq!(draw(&[(3, &[2]), (2, &[1]), (1, &[])]), ["* 3", "* 2", "* 1"]);
    }

    #[test]
    fn a_merge_opens_a_lane_and_the_common_parent_closes_it() {
        let lines = draw(&[(4, &[3, 2]), (3, &[1]), (2, &[1]), (1, &[])]);
        assert_eq!(lines, ["* 4", "| \\", "* | 3", "| * 2", "| /", "* 1"]);
    }

    #[test]
    fn two_roots_leave_no_open_lane() {
        let mut lanes = Lanes::default();
        lanes.row(&h(2), &[]);
        lanes.row(&h(1), &[]);
        assert!(lanes.waiting.is_empty());
    }
}
