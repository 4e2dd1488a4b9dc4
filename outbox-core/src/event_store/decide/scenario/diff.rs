//! Pure: two texts, line by line.

/// Longer texts are shown one after the other: the table of a comparison grows with the product of their lengths.
const LINES_MAX: usize = 2_000;

/// The lines of both: `-` only in the first, `+` only in the second.
pub(super) fn of(expected: &str, actual: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let mut shown = String::new();
    let mut show = |sign: char, line: &str| {
        shown.push(sign);
        shown.push(' ');
        shown.push_str(line);
        shown.push('\n');
    };
    if old.len().max(new.len()) > LINES_MAX {
        old.iter().for_each(|line| show('-', line));
        new.iter().for_each(|line| show('+', line));
        return shown;
    }
    let common = common_lengths(&old, &new);
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            show(' ', old[i]);
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || i < old.len() && common[i + 1][j] >= common[i][j + 1] {
            show('-', old[i]);
            i += 1;
        } else {
            show('+', new[j]);
            j += 1;
        }
    }
    shown
}

/// Of each pair of places, how many lines both have in common, in order, from there on.
fn common_lengths(old: &[&str], new: &[&str]) -> Vec<Vec<u32>> {
    let mut common = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_common_are_shown_once() {
        assert_eq!(of("a\nb\nc", "a\nx\nc\nd"), "  a\n- b\n+ x\n  c\n+ d\n");
        assert_eq!(of("", "a"), "+ a\n");
        assert_eq!(of("a", ""), "- a\n");
        assert_eq!(of("a\nb", "a\nb"), "  a\n  b\n");
    }

    #[test]
    fn what_is_too_long_to_compare_is_shown_whole() {
        let long = "x\n".repeat(LINES_MAX + 1);
        assert_eq!(of(&long, "y").lines().count(), LINES_MAX + 2);
    }
}
