//! Circles of a graph.

use std::collections::BTreeSet;

/// The largest sets of nodes that reach each other, from two nodes on.
pub(super) fn circles(edges: &[BTreeSet<usize>]) -> Vec<Vec<usize>> {
    let reached: Vec<BTreeSet<usize>> = (0..edges.len()).map(|start| reachable(edges, start)).collect();
    let mut circles = BTreeSet::new();
    for (start, reached_from_start) in reached.iter().enumerate() {
        let back = reached_from_start.iter().copied().filter(|node| reached[*node].contains(&start));
        let circle: BTreeSet<usize> = back.chain([start]).collect();
        if circle.len() > 1 {
            circles.insert(circle.into_iter().collect());
        }
    }
    circles.into_iter().collect()
}

fn reachable(edges: &[BTreeSet<usize>], start: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        open.extend(edges[node].iter().filter(|next| reached.insert(**next)));
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(edges: &[&[usize]], expected: &[&[usize]]) {
        let edges: Vec<BTreeSet<usize>> = edges.iter().map(|to| to.iter().copied().collect()).collect();
        assert_eq!(circles(&edges), expected);
    }

    #[test]
    fn circles_are_found_whole() {
        check(&[&[1], &[2], &[]], &[]);
        check(&[&[1], &[0, 2], &[]], &[&[0, 1]]);
        check(&[&[1], &[2], &[0, 3], &[4], &[3], &[0]], &[&[0, 1, 2], &[3, 4]]);
    }
}
