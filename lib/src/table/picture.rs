//! Lines of a tree, drawn from the depth of each row alone.

/// The four pieces that trees are drawn with, three columns each.
struct Strokes {
    branch: &'static str,
    last: &'static str,
    beside: &'static str,
    cut: &'static str,
}

const BOX: Strokes = Strokes { branch: "├─ ", last: "└─ ", beside: "│  ", cut: "…  " };
const ASCII: Strokes = Strokes { branch: "|- ", last: "`- ", beside: "|  ", cut: ">  " };

/// The lines before each row of a forest. Rows come parents first, as records do; several roots are several trees.
///
/// Only so many levels are drawn: a chain of ten thousand would else take a hundred million pieces. Rows that are
/// deeper show their nearest levels, and that something is missing.
pub(super) fn lines(depths: &[usize], levels: usize, ascii: bool) -> Vec<String> {
    let strokes = if ascii { ASCII } else { BOX };
    let depths = levelled(depths);
    // Seen from below: whether something follows on a level before its parent ends.
    let mut follows: Vec<bool> = Vec::new();
    let mut lines = vec![String::new(); depths.len()];
    for (line, depth) in lines.iter_mut().zip(&depths).rev() {
        follows.resize(depth + 1, false);
        let from = depth.saturating_sub(levels.max(1)) + 1;
        if from > 1 {
            line.push_str(strokes.cut);
        }
        for beside in follows.iter().take(*depth).skip(from) {
            line.push_str(if *beside { strokes.beside } else { "   " });
        }
        if *depth > 0 {
            line.push_str(if follows[*depth] { strokes.branch } else { strokes.last });
        }
        follows[*depth] = true;
    }
    lines
}

/// The places of a forest's members, each after its parent and before the next of its siblings, and how deep each stands.
/// A parent stands before its children; a place that does not is taken for none.
pub(super) fn forest(parents: &[Option<usize>]) -> Vec<(usize, usize)> {
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); parents.len()];
    let mut waiting = Vec::new();
    for (place, parent) in parents.iter().enumerate() {
        match parent.filter(|parent| *parent < place) {
            Some(parent) => below[parent].push(place),
            None => waiting.push((place, 0)),
        }
    }
    waiting.reverse();
    let mut order = Vec::with_capacity(parents.len());
    while let Some((place, depth)) = waiting.pop() {
        order.push((place, depth));
        waiting.extend(below[place].iter().rev().map(|child| (*child, depth + 1)));
    }
    order
}

/// Depths without gaps. Records that were filtered on the way may lack the levels between.
fn levelled(depths: &[usize]) -> Vec<usize> {
    let mut above: Vec<usize> = Vec::new();
    let level = |depth: &usize| {
        while above.last().is_some_and(|last| last >= depth) {
            above.pop();
        }
        above.push(*depth);
        above.len() - 1
    };
    depths.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forest_is_drawn_with_its_branches() {
        let drawn = lines(&[0, 1, 2, 2, 1, 2, 0, 1], 99, false);
        assert_eq!(drawn, ["", "├─ ", "│  ├─ ", "│  └─ ", "└─ ", "   └─ ", "", "└─ "]);
        let drawn = lines(&[0, 1, 2, 1], 99, true);
        assert_eq!(drawn, ["", "|- ", "|  `- ", "`- "]);
    }

    #[test]
    fn a_forest_in_the_order_of_birth_is_put_in_the_order_of_a_tree() {
        let order = forest(&[None, Some(0), None, Some(1), Some(0), Some(2), Some(6)]);
        assert_eq!(order, [(0, 0), (1, 1), (3, 2), (4, 1), (2, 0), (5, 1), (6, 0)]);
    }

    #[test]
    fn levels_that_were_filtered_out_leave_no_hole() {
        assert_eq!(lines(&[3, 7, 7, 3, 9], 99, false), ["", "├─ ", "└─ ", "", "└─ "]);
    }

    #[test]
    fn a_deep_chain_shows_its_nearest_levels() {
        let depths: Vec<usize> = (0..20_000).collect();
        let drawn = lines(&depths, 4, false);
        assert_eq!((drawn[1].as_str(), drawn[4].as_str()), ("└─ ", "         └─ "));
        assert_eq!(drawn[5], "…           └─ ");
        assert!(drawn.iter().all(|line| line.chars().count() <= 15));
    }
}
