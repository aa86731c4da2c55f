//! Policies of certificates, by RFC 5280 as RFC 9618 changes it. No policy is demanded from here; authorities may
//! demand that there is one.

use std::collections::{HashMap, HashSet};

use asn1::{ObjectIdentifier, oid};

use super::der::{Der, SEQUENCE, field};

const ANY: ObjectIdentifier = oid!(2, 5, 29, 32, 0);

/// What a certificate says about policies. Numbers count the certificates below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Policies {
    list: Vec<ObjectIdentifier>,
    /// The issuer's policies, with those of the subject that they equal.
    mappings: Vec<(ObjectIdentifier, ObjectIdentifier)>,
    require_explicit: Option<u64>,
    inhibit_mapping: Option<u64>,
    pub(super) inhibit_any: Option<u64>,
}

impl Policies {
    /// `None` if it is no list of policies, or has one twice.
    pub(super) fn read_policies(&mut self, mut value: Der<'_>) -> Option<()> {
        let mut list = value.inside(SEQUENCE)?;
        let mut seen = HashSet::new();
        while !list.is_empty() {
            let policy: ObjectIdentifier = list.inside(SEQUENCE)?.read()?;
            if !seen.insert(policy.clone()) {
                return None;
            }
            self.list.push(policy);
        }
        Some(())
    }

    pub(super) fn read_mappings(&mut self, mut value: Der<'_>) -> Option<()> {
        let mut list = value.inside(SEQUENCE)?;
        while !list.is_empty() {
            let mut pair = list.inside(SEQUENCE)?;
            self.mappings.push((pair.read()?, pair.read()?));
        }
        Some(())
    }

    pub(super) fn read_constraints(&mut self, mut value: Der<'_>) -> Option<()> {
        let mut fields = value.inside(SEQUENCE)?;
        let mut number = |tag| -> Option<Option<u64>> {
            let Some(content) = fields.optional(tag)? else { return Some(None) };
            let number = <i64 as asn1::SimpleAsn1Readable<'_>>::parse_data(content).ok()?;
            // Go ignores those below zero.
            Some(u64::try_from(number).ok())
        };
        self.require_explicit = number(field(0))?;
        self.inhibit_mapping = number(field(1))?;
        Some(())
    }
}

/// Whether a chain, the authority at the end, has a policy if one is demanded. Of each certificate counts what it says,
/// and whether it has issued itself.
pub(super) fn are_valid(chain: &[(&Policies, bool)]) -> bool {
    let Some((_, below)) = chain.split_last().filter(|(_, below)| !below.is_empty()) else { return true };
    let mut walk = Walk::new(below.len());
    let mut down = below.iter().enumerate().rev();
    let is_valid =
        down.all(|(place, (policies, is_self_issued))| walk.step(policies, *is_self_issued, place));
    is_valid && walk.end(below[0].0)
}

/// A way down a chain, from below the authority.
struct Walk {
    /// `None` as soon as no policy is possible.
    graph: Option<Graph>,
    /// How many certificates may follow before each begins to count.
    explicit: u64,
    mapping: u64,
    any: u64,
}

impl Walk {
    fn new(n_below: usize) -> Self {
        let beyond = n_below as u64 + 1;
        Self { graph: Some(Graph::new()), explicit: beyond, mapping: beyond, any: beyond }
    }

    /// Goes to the next certificate, of which `place` are below. Returns whether the chain may be good.
    fn step(&mut self, policies: &Policies, is_self_issued: bool, place: usize) -> bool {
        if policies.list.is_empty() {
            self.graph = None;
        }
        if self.explicit == 0 && self.graph.is_none() {
            return false;
        }
        if let Some(graph) = &mut self.graph {
            let is_any_good = self.any > 0 || (place > 0 && is_self_issued);
            graph.descend(&policies.list, is_any_good);
            if place > 0 && !graph.map(&policies.mappings, self.mapping > 0) {
                return false;
            }
        }
        if place > 0 {
            self.count(policies, is_self_issued);
        }
        true
    }

    fn count(&mut self, policies: &Policies, is_self_issued: bool) {
        let counters = [
            (&mut self.explicit, policies.require_explicit),
            (&mut self.mapping, policies.inhibit_mapping),
            (&mut self.any, policies.inhibit_any),
        ];
        for (counter, bound) in counters {
            if !is_self_issued {
                *counter = counter.saturating_sub(1);
            }
            *counter = bound.map_or(*counter, |bound| bound.min(*counter));
        }
    }

    fn end(&self, last: &Policies) -> bool {
        let explicit = if last.require_explicit == Some(0) { 0 } else { self.explicit.saturating_sub(1) };
        explicit > 0 || self.graph.as_ref().is_some_and(Graph::has_policy)
    }
}

/// Which policies follow from which: a level for each certificate, the authority's on top.
struct Graph {
    levels: Vec<HashMap<ObjectIdentifier, Node>>,
}

/// A policy on a level; the nodes above and below are on the levels next to it.
struct Node {
    expected: Vec<ObjectIdentifier>,
    above: HashSet<ObjectIdentifier>,
    below: HashSet<ObjectIdentifier>,
}

impl Graph {
    fn new() -> Self {
        let mut graph = Self { levels: vec![HashMap::new()] };
        graph.insert(ANY, Vec::new());
        graph
    }

    fn last(&mut self) -> &mut HashMap<ObjectIdentifier, Node> {
        self.levels.last_mut().expect("the authority's is always there")
    }

    fn insert(&mut self, policy: ObjectIdentifier, above: Vec<ObjectIdentifier>) {
        if let [.., level, _] = &mut self.levels[..] {
            for parent in &above {
                if let Some(parent) = level.get_mut(parent) {
                    parent.below.insert(policy.clone());
                }
            }
        }
        let node = Node {
            expected: vec![policy.clone()],
            above: above.into_iter().collect(),
            below: HashSet::new(),
        };
        self.last().insert(policy, node);
    }

    /// Adds a level for a certificate with these policies.
    fn descend(&mut self, policies: &[ObjectIdentifier], is_any_good: bool) {
        let mut expecting: HashMap<ObjectIdentifier, Vec<ObjectIdentifier>> = HashMap::new();
        for (policy, node) in self.last().iter() {
            for expected in &node.expected {
                expecting.entry(expected.clone()).or_default().push(policy.clone());
            }
        }
        let has_any = self.last().contains_key(&ANY);
        self.levels.push(HashMap::new());
        for policy in policies.iter().filter(|policy| **policy != ANY) {
            match expecting.get(policy) {
                Some(parents) => self.insert(policy.clone(), parents.clone()),
                None if has_any => self.insert(policy.clone(), vec![ANY]),
                None => {}
            }
        }
        if is_any_good && policies.contains(&ANY) {
            for (policy, parents) in expecting {
                if !self.last().contains_key(&policy) {
                    self.insert(policy, parents);
                }
            }
        }
        self.prune();
    }

    /// Removes what leads to nothing, from the last level but one upwards.
    fn prune(&mut self) {
        for depth in (1..self.levels.len() - 1).rev() {
            let dead: Vec<_> = self.levels[depth]
                .extract_if(|_, node| node.below.is_empty())
                .map(|(policy, node)| (policy, node.above))
                .collect();
            for (policy, parents) in dead {
                self.forget_below(depth - 1, &parents, &policy);
            }
        }
    }

    fn forget_below(&mut self, depth: usize, parents: &HashSet<ObjectIdentifier>, policy: &ObjectIdentifier) {
        for parent in parents {
            if let Some(parent) = self.levels[depth].get_mut(parent) {
                parent.below.remove(policy);
            }
        }
    }

    /// Translates the last level's policies for the next. Returns whether the mappings are such.
    fn map(&mut self, mappings: &[(ObjectIdentifier, ObjectIdentifier)], is_permitted: bool) -> bool {
        if mappings.is_empty() {
            return true;
        }
        if !is_permitted {
            self.remove(mappings.iter().map(|(issuer, _)| issuer));
            return true;
        }
        let mut subjects: HashMap<&ObjectIdentifier, Vec<ObjectIdentifier>> = HashMap::new();
        for (issuer, subject) in mappings {
            if *issuer == ANY || *subject == ANY {
                return false;
            }
            subjects.entry(issuer).or_default().push(subject.clone());
        }
        self.prune();
        for (issuer, expected) in subjects {
            if !self.last().contains_key(issuer) && self.last().contains_key(&ANY) {
                // It stands beside the one that is its parent; nothing asks for that one's children.
                let above = HashSet::from([ANY]);
                self.last()
                    .insert(issuer.clone(), Node { expected: Vec::new(), above, below: HashSet::new() });
            }
            if let Some(node) = self.last().get_mut(issuer) {
                node.expected = expected;
            }
        }
        true
    }

    fn remove<'a>(&mut self, policies: impl Iterator<Item = &'a ObjectIdentifier>) {
        let above = self.levels.len().checked_sub(2);
        for policy in policies {
            if let (Some(node), Some(above)) = (self.last().remove(policy), above) {
                self.forget_below(above, &node.above, policy);
            }
        }
        self.prune();
    }

    /// Whether some policy leads from the authority to the last certificate.
    fn has_policy(&self) -> bool {
        let follows_any =
            |(policy, node): (&ObjectIdentifier, &Node)| *policy != ANY && node.above == HashSet::from([ANY]);
        let is_last_any = self.levels.last().is_some_and(|level| level.contains_key(&ANY));
        is_last_any || self.levels.iter().flatten().any(follows_any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ObjectIdentifier = oid!(1, 2, 1);
    const B: ObjectIdentifier = oid!(1, 2, 2);

    /// Whether certificates, from below the authority down, have a policy if one is demanded from the first on.
    fn check(certificates: &[Policies], expected: bool) {
        let mut walk = Walk { explicit: 0, ..Walk::new(certificates.len()) };
        let mut down = certificates.iter().zip((0..certificates.len()).rev());
        let is_valid = down.all(|(policies, place)| walk.step(policies, false, place));
        assert_eq!(is_valid && walk.end(&Policies::default()), expected, "{certificates:?}");
    }

    fn list(policies: &[&ObjectIdentifier]) -> Policies {
        Policies { list: policies.iter().map(|it| (*it).clone()).collect(), ..Policies::default() }
    }

    fn maps(policies: &[&ObjectIdentifier], from: &ObjectIdentifier, to: &ObjectIdentifier) -> Policies {
        Policies { mappings: vec![(from.clone(), to.clone())], ..list(policies) }
    }

    #[test]
    fn one_policy_has_to_lead_through() {
        check(&[list(&[&A]), list(&[&A])], true);
        check(&[list(&[&A]), list(&[&B])], false);
        check(&[list(&[&A]), list(&[])], false);
        check(&[list(&[]), list(&[&A])], false);
        check(&[list(&[&ANY]), list(&[&B])], true);
        check(&[list(&[&A, &B]), list(&[&B, &A])], true);
        check(&[list(&[&A]), list(&[&ANY])], true);
        let without_any = Policies { inhibit_any: Some(0), ..list(&[&A]) };
        check(&[without_any, list(&[&ANY])], false);
    }

    #[test]
    fn authorities_translate() {
        check(&[maps(&[&A], &A, &B), list(&[&B])], true);
        check(&[maps(&[&A], &A, &B), list(&[&A])], false);
        check(&[maps(&[&ANY], &A, &B), list(&[&B])], true);
        check(&[maps(&[&A], &ANY, &B), list(&[&B])], false);
        let without_maps = Policies { inhibit_mapping: Some(0), ..list(&[&A]) };
        check(&[without_maps, maps(&[&A], &A, &B), list(&[&B])], false);
    }
}
