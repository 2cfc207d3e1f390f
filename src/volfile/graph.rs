//! A volfile with its names resolved.

use std::collections::HashMap;
use std::fmt;

use bstr::{BStr, ByteSlice};

use super::secret::{shown_key, shown_value};
use super::shown::shown;
use super::text::{Section, Volfile, VolumeOption};

/// The graph that glusterfs would build of a volfile.
///
/// As in glusterfs a subvolume must be defined above its parent, and one that is not is left out
/// ([`Graph::problems`](Graph::problems) tells). So every edge leads to an earlier section: there are no
/// cycles to walk into, and the file's order is children first.
pub struct Graph<'v> {
    volfile: &'v Volfile<'v>,
    by_name: HashMap<&'v BStr, u32>,
    children: Edges,
    parents: Edges,
    reachable: Vec<bool>,
}

impl<'v> Graph<'v> {
    /// Resolves `volfile`; `None` if it has no volume. Never fails otherwise: see [`Graph::problems`].
    pub fn new(volfile: &'v Volfile<'v>) -> Option<Self> {
        let top = volfile.len().checked_sub(1)?;
        let mut by_name = HashMap::with_capacity(volfile.len());
        let mut pairs = Vec::new();
        for (index, section) in (0..).zip(volfile.sections()) {
            for child in section.subvolumes() {
                pairs.extend(by_name.get(child).map(|child| (index, *child)));
            }
            by_name.entry(section.name()).or_insert(index);
        }
        let children = Edges::new(volfile.len(), pairs.iter().copied());
        let parents = Edges::new(volfile.len(), pairs.iter().map(|(parent, child)| (*child, *parent)));

        let mut reachable = vec![false; volfile.len()];
        reachable[top] = true;
        for index in (0..=top).rev().filter(|index| children.starts[*index] < children.starts[*index + 1]) {
            if reachable[index] {
                children.of(index).iter().for_each(|child| reachable[*child as usize] = true);
            }
        }
        Some(Self { volfile, by_name, children, parents, reachable })
    }

    /// The last volume of the file: what is mounted.
    pub fn top(&self) -> Xlator<'_> {
        Xlator { graph: self, index: self.volfile.len() - 1 }
    }

    /// All volumes in the order of the file, so children before their parents.
    pub fn xlators(&self) -> impl ExactSizeIterator<Item = Xlator<'_>> + DoubleEndedIterator {
        (0..self.volfile.len()).map(|index| Xlator { graph: self, index })
    }

    /// The volume called `name`; of two the first.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<Xlator<'_>> {
        let index = *self.by_name.get(name.as_ref().as_bstr())? as usize;
        Some(Xlator { graph: self, index })
    }

    /// Volumes that are not below the top: glusterfs starts them, but no file operation reaches them.
    pub fn orphans(&self) -> impl Iterator<Item = Xlator<'_>> {
        self.xlators().filter(|xlator| !xlator.is_reachable())
    }

    /// Volumes that are below each other by the names as written, which the resolved graph cannot show: of
    /// each knot of cycles one. The first volume of a cycle is the first in the file.
    pub(super) fn cycles(&self) -> Vec<Vec<Xlator<'_>>> {
        let named = |index: usize| {
            let names = self.volfile.section(index).subvolumes();
            names
                .filter_map(|name| self.by_name.get(name))
                .map(|child| *child as usize)
                .filter(move |child| *child != index)
        };
        let nodes = self.volfile.len();
        let up: Vec<_> = (0..nodes)
            .flat_map(|parent| named(parent).map(move |child| (child as u32, parent as u32)))
            .collect();
        let up = Edges::new(nodes, up.iter().copied());

        // Take away, from the leaves up, all that has no children left: what stays is in a cycle or above one.
        let mut left: Vec<usize> = (0..nodes).map(|index| named(index).count()).collect();
        let mut leaves: Vec<usize> = (0..nodes).filter(|index| left[*index] == 0).collect();
        while let Some(leaf) = leaves.pop() {
            for parent in up.of(leaf).iter().map(|parent| *parent as usize) {
                left[parent] -= 1;
                if left[parent] == 0 {
                    leaves.push(parent);
                }
            }
        }

        // From each volume that stayed, follow first children that stayed until the way meets itself.
        let mut walked_by = vec![usize::MAX; nodes];
        let mut cycles = Vec::new();
        for start in (0..nodes).filter(|start| left[*start] > 0) {
            let (mut at, mut way) = (start, Vec::new());
            while walked_by[at] == usize::MAX {
                walked_by[at] = start;
                way.push(at);
                match named(at).find(|child| left[*child] > 0) {
                    Some(child) => at = child,
                    None => break,
                }
            }
            if walked_by[at] == start
                && let Some(begin) = way.iter().position(|index| *index == at)
            {
                let mut cycle: Vec<_> =
                    way[begin..].iter().map(|index| Xlator { graph: self, index: *index }).collect();
                let first = (0..cycle.len()).min_by_key(|place| cycle[*place].index).unwrap_or(0);
                cycle.rotate_left(first);
                cycles.push(cycle);
            }
        }
        cycles
    }

    /// What was resolved.
    pub fn volfile(&self) -> &'v Volfile<'v> {
        self.volfile
    }
}

impl fmt::Debug for Graph<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Graph").field(&self.volfile).finish()
    }
}

/// One translator in a [`Graph`].
#[derive(Clone, Copy)]
pub struct Xlator<'g> {
    graph: &'g Graph<'g>,
    index: usize,
}

impl<'g> Xlator<'g> {
    /// Its name, such as `vol-client-0`.
    pub fn name(self) -> &'g BStr {
        self.section().name()
    }

    /// Its type, such as `protocol/client`.
    pub fn xlator_type(self) -> &'g BStr {
        self.section().xlator_type()
    }

    /// The value in force of the option `key`.
    pub fn option(self, key: &str) -> Option<&'g BStr> {
        self.section().option(key)
    }

    /// The options in force, by key: of several with one key the last.
    pub fn options(self) -> Vec<(&'g BStr, &'g BStr)> {
        let mut options: Vec<&VolumeOption<'_>> = self.section().options().iter().rev().collect();
        options.sort_by(|one, other| one.key.cmp(&other.key));
        options.dedup_by(|later, kept| later.key == kept.key);
        options.into_iter().map(|option| (&*option.key, &*option.value)).collect()
    }

    /// The options in force as they may be shown: secrets are out, control characters escaped.
    pub fn shown_options(self) -> impl Iterator<Item = (String, String)> + 'g {
        self.options().into_iter().map(|(key, value)| (shown(&shown_key(key)), shown_value(key, value)))
    }

    /// Its children, in the order that glusterfs numbers them by.
    pub fn children(self) -> impl ExactSizeIterator<Item = Self> + DoubleEndedIterator {
        self.graph.children.of(self.index).iter().map(move |index| self.at(*index))
    }

    /// The translators that have it as a child, in the order of the file.
    pub fn parents(self) -> impl ExactSizeIterator<Item = Self> {
        self.graph.parents.of(self.index).iter().map(move |index| self.at(*index))
    }

    /// Whether it is the top or below it.
    pub fn is_reachable(self) -> bool {
        self.graph.reachable[self.index]
    }

    /// Its place in the file, counted in volumes from 0.
    pub fn index(self) -> usize {
        self.index
    }

    /// What the volfile says about it.
    pub fn section(self) -> Section<'g> {
        self.graph.volfile.section(self.index)
    }

    fn at(self, index: u32) -> Self {
        Self { graph: self.graph, index: index as usize }
    }
}

impl fmt::Debug for Xlator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.section().fmt(f)
    }
}

/// The targets of all edges in one vector, those of a node next to each other.
struct Edges {
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Edges {
    /// Keeps the order of the edges of each node.
    fn new(nodes: usize, edges: impl ExactSizeIterator<Item = (u32, u32)> + Clone) -> Self {
        let mut starts = vec![0; nodes + 1];
        edges.clone().for_each(|(from, _)| starts[from as usize + 1] += 1);
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut targets = vec![0; edges.len()];
        for (from, to) in edges {
            targets[next[from as usize] as usize] = to;
            next[from as usize] += 1;
        }
        Self { starts, targets }
    }

    fn of(&self, node: usize) -> &[u32] {
        &self.targets[self.starts[node] as usize..self.starts[node + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diamond() -> Volfile<'static> {
        let mut volfile = Volfile::new();
        volfile.volume("a", "protocol/client").option("x", "1").option("b", "2").option("x", "3");
        volfile.volume("b", "t/b").subvolumes(["a"]);
        volfile.volume("c", "t/c").subvolumes(["a", "nobody"]);
        volfile.volume("lost", "t/lost").subvolumes(["top"]);
        volfile.volume("top", "t/top").subvolumes(["c", "b"]);
        volfile
    }

    fn names<'g>(xlators: impl Iterator<Item = Xlator<'g>>) -> Vec<String> {
        xlators.map(|xlator| xlator.name().to_string()).collect()
    }

    #[test]
    fn resolves_children_parents_top_and_orphans() {
        let volfile = diamond();
        let graph = Graph::new(&volfile).unwrap();
        assert_eq!(names(graph.top().children()), ["c", "b"]);
        assert_eq!(names(graph.get("a").unwrap().parents()), ["b", "c"]);
        assert_eq!(names(graph.get("c").unwrap().children()), ["a"], "an undefined child is left out");
        assert_eq!(names(graph.orphans()), ["lost"]);
        assert!(graph.get("nobody").is_none());
    }

    #[test]
    fn the_last_of_two_options_is_in_force() {
        let volfile = diamond();
        let a = Graph::new(&volfile)
            .unwrap()
            .get("a")
            .map(|a| (a.option("x").unwrap().to_string(), a.options().len()));
        assert_eq!(a, Some(("3".to_owned(), 2)));
    }

    #[test]
    fn nothing_has_no_graph() {
        assert!(Graph::new(&Volfile::new()).is_none());
    }
}
