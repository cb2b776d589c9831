//! Did you mean: the known word that is nearest to an unknown one.
//! Promise: the same words give the same answer; a word that is far from all gives none.
//! Not here: what the words are for.

/// Longest word in characters that is compared; the cost of a comparison is its square.
const WORD_CHARS_MAX: usize = 128;

/// The candidate with the fewest edits to `word`, the first of equals; at most a third of the
/// word's characters, and at least one, may differ.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length > WORD_CHARS_MAX {
        return None;
    }
    let allowed = (length / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let edits = edits_between(word, candidate);
        if edits <= allowed && best.is_none_or(|(fewest, _)| edits < fewest) {
            best = Some((edits, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The fewest insertions, deletions, replacements and swaps of neighbours, case set aside.
fn edits_between(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().flat_map(char::to_lowercase).collect();
    let right: Vec<char> = right
        .chars()
        .take(WORD_CHARS_MAX * 2)
        .flat_map(char::to_lowercase)
        .collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, from) in left.iter().enumerate() {
        let mut line = Vec::with_capacity(last.len());
        line.push(row + 1);
        for (column, to) in right.iter().enumerate() {
            let replaced = last[column] + usize::from(from != to);
            let mut fewest = replaced.min(last[column + 1] + 1).min(line[column] + 1);
            let swapped =
                row > 0 && column > 0 && left[row - 1] == *to && right[column - 1] == *from;
            if swapped {
                fewest = fewest.min(before_last[column - 1] + 1);
            }
            line.push(fewest);
        }
        before_last = std::mem::replace(&mut last, line);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word_and_another_word_finds_none() {
        let known = ["orders", "returns", "travel-zh"];
        assert_eq!(nearest("ordres", known), Some("orders"));
        assert_eq!(nearest("Returns", known), Some("returns"));
        assert_eq!(nearest("travel_zh", known), Some("travel-zh"));
        assert_eq!(nearest("invoices", known), None);
        assert_eq!(nearest("", known), None);
    }
}
