//! Near names for "did you mean".

/// The name nearest to `text`, when it is near enough that a slip of the hand explains it.
pub(crate) fn nearest<'a>(text: &str, names: &'a [String]) -> Option<&'a str> {
    let allowed = (text.chars().count() / 3).clamp(1, 3);
    names
        .iter()
        .map(|name| (distance(text, name), name))
        .filter(|(d, name)| *d <= allowed && *d < name.chars().count())
        .min()
        .map(|(_, name)| name.as_str())
}

/// How many insertions, deletions, replacements and swaps of neighbours lead from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().take(64).collect();
    let b: Vec<char> = b.to_lowercase().chars().take(64).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name() {
        let names = ["main", "v1.0.0", "production"].map(String::from);
        assert_eq!(nearest("mian", &names), Some("main"));
        assert_eq!(nearest("v1.0.1", &names), Some("v1.0.0"));
        assert_eq!(nearest("Prodution", &names), Some("production"));
    }

    #[test]
    fn a_different_word_finds_nothing() {
        let names = ["main", "a"].map(String::from);
        assert_eq!(nearest("experiment", &names), None);
        assert_eq!(nearest("x", &names), None);
        assert_eq!(nearest("", &names), None);
    }
}
