//! Which mounts of a namespace are replaced, and which of them together.

use std::collections::HashMap;

use crate::mount::mountinfo::{MountEntry, MountTable};

/// A mount of ours as others have it, with those below it, which are ours too: they go and come with it.
#[derive(Debug)]
pub(super) struct Copy<'t> {
    /// What is seen at the mount point: where mounts of ours are stacked, the upper one.
    pub(super) top: &'t MountEntry,
    pub(super) below: Vec<Self>,
}

/// A mount of ours that stays, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept<'t> {
    pub(super) entry: &'t MountEntry,
    pub(super) reason: String,
}

/// Deeper than anybody mounts; a bound on the recursion.
const MAX_DEPTH: usize = 64;

/// The mounts of a table that are `ours`, in groups that are replaced together. Those that lie under a mount of `new` are
/// left out: they are replaced already, and cannot be taken away.
pub(super) fn copies<'t>(
    table: &'t MountTable,
    new: (u32, u32),
    ours: impl Fn(&MountEntry) -> bool,
) -> Vec<Result<Copy<'t>, Kept<'t>>> {
    let mut children = HashMap::<u64, Vec<&MountEntry>>::new();
    for entry in table.entries() {
        children.entry(entry.parent).or_default().push(entry);
    }
    let family = Family { children, new, ours };
    let is_root = |entry: &&MountEntry| {
        (family.ours)(entry) && table.by_id(entry.parent).is_none_or(|parent| !(family.ours)(parent))
    };
    let roots = table.entries().iter().filter(is_root);
    roots
        .filter_map(|entry| family.copy(entry, 0).map_err(|reason| Kept { entry, reason }).transpose())
        .collect()
}

struct Family<'t, F> {
    /// By the number of their parent.
    children: HashMap<u64, Vec<&'t MountEntry>>,
    new: (u32, u32),
    ours: F,
}

impl<'t, F: Fn(&MountEntry) -> bool> Family<'t, F> {
    /// The copy whose lowest mount this is; none where it is replaced already.
    fn copy(&self, lowest: &'t MountEntry, depth: usize) -> Result<Option<Copy<'t>>, String> {
        if depth > MAX_DEPTH {
            return Err("mounts are nested too deeply".to_owned());
        }
        let (mut top, mut below) = (lowest, Vec::new());
        for _ in 0..MAX_DEPTH {
            let children = self.children.get(&top.id).map_or(&[][..], Vec::as_slice);
            let (over, inside): (Vec<_>, Vec<_>) =
                children.iter().partition(|child| child.mount_point == top.mount_point);
            for child in inside {
                if !(self.ours)(child) {
                    let point = child.mount_point.display();
                    return Err(format!(
                        "{point} ({}) is mounted below it and would go with it",
                        child.fs_type
                    ));
                }
                let Some(copy) = self.copy(child, depth + 1)? else {
                    return Err(format!("{} below it is replaced already", child.mount_point.display()));
                };
                below.push(copy);
            }
            match over.first() {
                None => return Ok(Some(Copy { top, below })),
                Some(over) if (self.ours)(over) => top = over,
                Some(over) if over.device == self.new => return Ok(None),
                Some(over) => return Err(format!("{} ({}) is mounted over it", over.source, over.fs_type)),
            }
        }
        Err("too many mounts are stacked on it".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: (u32, u32) = (0, 50);

    /// What becomes of a table: the tops with those below them in brackets, or the reasons.
    fn grouped(lines: &str) -> Vec<String> {
        fn shown(copy: &Copy<'_>) -> String {
            let below = copy.below.iter().map(shown).collect::<Vec<_>>();
            format!("{}{}", copy.top.id, if below.is_empty() { String::new() } else { format!("{below:?}") })
        }
        let table = MountTable::parse(lines.replace("; ", "\n").as_bytes());
        let copies = copies(&table, (0, 60), |entry| entry.device == OLD);
        let shown = copies.iter().map(|copy| match copy {
            Ok(copy) => shown(copy),
            Err(Kept { entry, reason }) => format!("{}: {reason}", entry.id),
        });
        shown.collect()
    }

    fn entry(id: u64, parent: u64, minor: u32, point: &str) -> String {
        format!("{id} {parent} 0:{minor} / {point} rw - fs{minor} s{minor} rw; ")
    }

    fn root() -> String {
        entry(1, 0, 1, "/")
    }

    #[test]
    fn mounts_of_ours_are_found_wherever_they_are() {
        let lines = [root(), entry(2, 1, 50, "/a"), entry(3, 1, 7, "/b"), entry(4, 3, 50, "/b/c")].concat();
        assert_eq!(grouped(&lines), ["2", "4"]);
        assert_eq!(grouped(&root()), Vec::<String>::new());
        // The namespace's root itself, whose parent is not listed.
        assert_eq!(grouped(&entry(1, 0, 50, "/")), ["1"]);
    }

    #[test]
    fn those_below_ours_go_with_them() {
        let lines = [
            root(),
            entry(2, 1, 50, "/a"),
            entry(3, 2, 50, "/a/b"),
            entry(4, 3, 50, "/a/b/c"),
            entry(5, 2, 50, "/a/d"),
        ];
        assert_eq!(grouped(&lines.concat()), [r#"2["3[\"4\"]", "5"]"#]);
    }

    #[test]
    fn of_a_stack_the_upper_one_is_seen() {
        let lines = [root(), entry(2, 1, 50, "/a"), entry(3, 2, 50, "/a"), entry(4, 3, 50, "/a/b")];
        assert_eq!(grouped(&lines.concat()), [r#"3["4"]"#]);
    }

    #[test]
    fn what_is_replaced_already_is_left_out() {
        let lines = [root(), entry(2, 1, 50, "/a"), entry(3, 2, 60, "/a"), entry(4, 1, 50, "/b")];
        assert_eq!(grouped(&lines.concat()), ["4"]);
    }

    #[test]
    fn mounts_of_others_are_not_taken_away() {
        let over = [root(), entry(2, 1, 50, "/a"), entry(3, 2, 7, "/a")];
        assert_eq!(grouped(&over.concat()), ["2: s7 (fs7) is mounted over it"]);
        let below = [root(), entry(2, 1, 50, "/a"), entry(3, 2, 50, "/a/b"), entry(4, 3, 7, "/a/b/c")];
        assert_eq!(grouped(&below.concat()), ["2: /a/b/c (fs7) is mounted below it and would go with it"]);
        // Nor is one of ours that others have covered.
        let hidden = [root(), entry(2, 1, 50, "/a"), entry(3, 2, 7, "/a/x"), entry(4, 2, 50, "/a")];
        assert_eq!(grouped(&hidden.concat()), ["2: /a/x (fs7) is mounted below it and would go with it"]);
    }

    #[test]
    fn tables_that_no_kernel_writes_end() {
        let deep = (2..200).map(|id| entry(id, id - 1, 50, &format!("/{id}"))).collect::<String>();
        assert_eq!(grouped(&(root() + &deep)), ["2: mounts are nested too deeply"]);
        let stack = (2..200).map(|id| entry(id, id - 1, 50, "/a")).collect::<String>();
        assert_eq!(grouped(&(root() + &stack)), ["2: too many mounts are stacked on it"]);
        assert_eq!(grouped(&[entry(2, 3, 50, "/a"), entry(3, 2, 50, "/a")].concat()), Vec::<String>::new());
    }
}
