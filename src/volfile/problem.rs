//! What is wrong with a volfile that has the right grammar.

use std::collections::HashSet;
use std::fmt;

use bstr::{BStr, ByteSlice};
use serde::Serialize;

use super::graph::{Graph, Xlator};
use super::secret::shown_key;
use super::shown::shown;
use super::text::What;

/// Names this long end up in buffers of 256 bytes in some translators (facts §10.4).
const MAX_NAME: usize = 255;

/// One thing wrong with a volfile, and where.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// The line, from 1; 0 in a volfile made in code.
    pub line: u32,
    /// The volume that has it; `None` for the text as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// What it is.
    #[serde(flatten)]
    pub fault: Fault,
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// glusterfs loads the volfile as it was meant, or nearly so.
    Warning,
    /// glusterfs would refuse the volfile, load only a part of it, or run code that came with it.
    Error,
}

/// The kinds of [`Problem`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fault {
    /// A byte 0x60, even in a comment: glusterfs runs what stands between two as root (facts §10.2).
    Backtick,
    /// A zero byte: glusterfs cuts the word there.
    NulByte,
    /// Another volume of this name is defined above; glusterfs refuses the file.
    DuplicateVolume,
    /// A subvolume that is defined nowhere; glusterfs goes on without it (facts §10.4).
    UndefinedSubvolume {
        /// Its name.
        subvolume: String,
    },
    /// A subvolume that is defined only below; glusterfs goes on without it.
    LaterSubvolume {
        /// Its name.
        subvolume: String,
    },
    /// A volume that is its own subvolume; glusterfs goes on without.
    OwnSubvolume,
    /// Volumes that are below each other.
    Cycle {
        /// The way round, beginning and ending with the same name.
        through: Vec<String>,
    },
    /// The same subvolume twice: two copies on one brick.
    DuplicateSubvolume {
        /// Its name.
        subvolume: String,
    },
    /// `""` as a subvolume; glusterfs goes on without it.
    EmptySubvolume,
    /// Not below the last volume, which is the top: no file operation will get there.
    Orphan,
    /// `mount/fuse` cannot be in a volfile; glusterfs refuses it.
    MountFuse,
    /// A type that leads out of the directory of translators: glusterfs would load and run any library of
    /// that name (seen on 10.3 with `type ../../…/tmp/x`).
    OutsideType {
        /// The type.
        xlator_type: String,
    },
    /// A type that is not installed, by [`Graph::unknown_types`].
    UnknownType {
        /// The type.
        xlator_type: String,
    },
    /// A name of 255 bytes or more, which overflows buffers of some translators.
    LongName {
        /// Its length in bytes.
        length: usize,
    },
    /// An option given twice: the last is in force.
    DuplicateOption {
        /// Its key.
        key: String,
    },
    /// An option with `""` as key or value: glusterfs ignores it.
    EmptyOption,
}

impl Problem {
    /// Whether it keeps the volfile from being used.
    pub fn severity(&self) -> Severity {
        match self.fault {
            Fault::DuplicateOption { .. } | Fault::EmptyOption => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if let Some(volume) = &self.volume {
            write!(f, "volume `{volume}`: ")?;
        }
        self.fault.fmt(f)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backtick => {
                f.write_str("a backtick: glusterfs would run what stands between two of them as root")
            }
            Self::NulByte => f.write_str("a zero byte: glusterfs would cut the word there"),
            Self::DuplicateVolume => f.write_str("defined again"),
            Self::UndefinedSubvolume { subvolume } => {
                write!(f, "subvolume `{subvolume}` is not defined: glusterfs would go on without it")
            }
            Self::LaterSubvolume { subvolume } => {
                write!(f, "subvolume `{subvolume}` is defined only below: glusterfs would go on without it")
            }
            Self::OwnSubvolume => f.write_str("it has itself as a subvolume"),
            Self::Cycle { through } => write!(f, "a cycle: {}", through.join(" → ")),
            Self::DuplicateSubvolume { subvolume } => write!(f, "subvolume `{subvolume}` is named twice"),
            Self::EmptySubvolume => f.write_str("`\"\"` as a subvolume: glusterfs would go on without it"),
            Self::Orphan => f.write_str("it is not below the last volume, so nothing would use it"),
            Self::MountFuse => f.write_str("glusterfs refuses the type `mount/fuse` in a volfile"),
            Self::OutsideType { xlator_type } => {
                write!(
                    f,
                    "the type `{xlator_type}` leads out of the translators' directory: glusterfs would run any library"
                )
            }
            Self::UnknownType { xlator_type } => write!(f, "the type `{xlator_type}` is not installed here"),
            Self::LongName { length } => {
                write!(f, "a name of {length} bytes: translators have room for {} only", MAX_NAME - 1)
            }
            Self::DuplicateOption { key } => write!(f, "option `{key}` is given twice; the last one counts"),
            Self::EmptyOption => f.write_str("an option with `\"\"` is ignored by glusterfs"),
        }
    }
}

impl Graph<'_> {
    /// All that is wrong with the volfile, in the order of its lines. A volfile without an
    /// [`Severity::Error`] among them is loaded by glusterfs as it was meant, provided the types are
    /// installed ([`Graph::unknown_types`]) and the options are to the translators' liking. Of a volfile made
    /// in code, [`Volfile::render`](super::Volfile::render) refuses the words that cannot be written.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Findings::default();
        for (byte, fault) in [(b'`', Fault::Backtick), (0, Fault::NulByte)] {
            if let Some(at) = self.volfile().text().find_byte(byte) {
                found.0.push((at as u32, None, fault));
            }
        }
        let mut keys = HashSet::new();
        let mut children = HashSet::new();
        for xlator in self.xlators() {
            self.names(xlator, &mut found);
            keys.clear();
            for option in xlator.section().options() {
                if !keys.insert(&*option.key) {
                    found.add(
                        option.at,
                        xlator,
                        Fault::DuplicateOption { key: shown(&shown_key(&option.key)) },
                    );
                }
            }
            children.clear();
            for child in xlator.section().children() {
                if !children.insert(&*child.name) {
                    let subvolume = shown(&child.name);
                    found.add(child.at, xlator, Fault::DuplicateSubvolume { subvolume });
                }
                if let Some(fault) = self.unlinked(xlator, &child.name) {
                    found.add(child.at, xlator, fault);
                }
            }
            if !xlator.is_reachable() {
                found.add(xlator.section().at(), xlator, Fault::Orphan);
            }
        }
        for dropped in &self.volfile().dropped {
            let fault = match dropped.what {
                What::Option => Fault::EmptyOption,
                What::Subvolume => Fault::EmptySubvolume,
            };
            found.0.push((dropped.at, Some(self.volfile().section(dropped.section as usize).name()), fault));
        }
        if found.0.iter().any(|(.., fault)| matches!(fault, Fault::LaterSubvolume { .. })) {
            for cycle in self.cycles() {
                let through = cycle.iter().chain(cycle.first()).map(|xlator| shown(xlator.name())).collect();
                found.add(cycle[0].section().at(), cycle[0], Fault::Cycle { through });
            }
        }
        found.problems(self.volfile().text())
    }

    /// The volumes whose type `known` does not accept: glusterfs refuses a volfile with a translator that is
    /// not installed.
    pub fn unknown_types(&self, known: impl Fn(&BStr) -> bool) -> Vec<Problem> {
        let mut found = Findings::default();
        for xlator in self.xlators().filter(|xlator| !known(xlator.xlator_type())) {
            let xlator_type = shown(xlator.xlator_type());
            found.add(xlator.section().at(), xlator, Fault::UnknownType { xlator_type });
        }
        found.problems(self.volfile().text())
    }

    /// What is wrong with the volume's own name and type.
    fn names<'g>(&'g self, xlator: Xlator<'g>, found: &mut Findings<'g>) {
        let (name, at) = (xlator.name(), xlator.section().at());
        if self.get(name).is_some_and(|first| first.index() != xlator.index()) {
            found.add(at, xlator, Fault::DuplicateVolume);
        }
        if name.len() >= MAX_NAME {
            found.add(at, xlator, Fault::LongName { length: name.len() });
        }
        if xlator.xlator_type() == "mount/fuse" {
            found.add(at, xlator, Fault::MountFuse);
        }
        if xlator.xlator_type().split_str("/").any(|part| part == b"..") {
            found.add(at, xlator, Fault::OutsideType { xlator_type: shown(xlator.xlator_type()) });
        }
    }

    /// Why `child` of `parent` was left out, if it was.
    fn unlinked(&self, parent: Xlator<'_>, child: &BStr) -> Option<Fault> {
        let subvolume = || shown(child);
        match self.get(child).map(|child| child.index().cmp(&parent.index())) {
            Some(std::cmp::Ordering::Less) => None,
            Some(std::cmp::Ordering::Equal) => Some(Fault::OwnSubvolume),
            Some(std::cmp::Ordering::Greater) => Some(Fault::LaterSubvolume { subvolume: subvolume() }),
            None => Some(Fault::UndefinedSubvolume { subvolume: subvolume() }),
        }
    }
}

/// Faults with the place in the text, so that lines are counted once and not for each of them.
#[derive(Default)]
struct Findings<'g>(Vec<(u32, Option<&'g BStr>, Fault)>);

impl<'g> Findings<'g> {
    fn add(&mut self, at: u32, xlator: Xlator<'g>, fault: Fault) {
        self.0.push((at, Some(xlator.name()), fault));
    }

    fn problems(mut self, text: &[u8]) -> Vec<Problem> {
        self.0.sort_by_key(|(at, ..)| *at);
        let (mut line, mut counted) = (u32::from(!text.is_empty()), 0);
        let problem = |(at, volume, fault): (u32, Option<&BStr>, Fault)| {
            line += text[counted..at as usize].iter().filter(|byte| **byte == b'\n').count() as u32;
            counted = at as usize;
            Problem { line, volume: volume.map(shown), fault }
        };
        self.0.into_iter().map(problem).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volfile::Volfile;

    fn problems(text: &[u8]) -> Vec<String> {
        let volfile = Volfile::parse(text).unwrap();
        Graph::new(&volfile).unwrap().problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_problems_are_reported_in_the_order_of_lines() {
        let text = b"# a `comment`
            volume a type x/y subvolumes c a end-volume
            volume b type mount/fuse option k v option k \"\" option k w subvolumes a a nobody end-volume
            volume a type ../../x option k v end-volume
            volume c type x/y subvolumes a \"\" b end-volume";
        assert_eq!(
            problems(text),
            [
                "line 1: a backtick: glusterfs would run what stands between two of them as root",
                "line 2: volume `a`: a cycle: a → c → a",
                "line 2: volume `a`: subvolume `c` is defined only below: glusterfs would go on without it",
                "line 2: volume `a`: it has itself as a subvolume",
                "line 3: volume `b`: glusterfs refuses the type `mount/fuse` in a volfile",
                "line 3: volume `b`: an option with `\"\"` is ignored by glusterfs",
                "line 3: volume `b`: option `k` is given twice; the last one counts",
                "line 3: volume `b`: subvolume `a` is named twice",
                "line 3: volume `b`: subvolume `nobody` is not defined: glusterfs would go on without it",
                "line 4: volume `a`: defined again",
                "line 4: volume `a`: the type `../../x` leads out of the translators' directory: glusterfs would run any library",
                "line 4: volume `a`: it is not below the last volume, so nothing would use it",
                "line 5: volume `c`: `\"\"` as a subvolume: glusterfs would go on without it",
            ]
        );
    }

    #[test]
    fn only_what_glusterfs_reads_as_meant_is_a_warning() {
        let volfile =
            Volfile::parse("volume a type x/y option k v option k w option k \"\" end-volume").unwrap();
        let problems = Graph::new(&volfile).unwrap().problems();
        assert_eq!(problems.len(), 2);
        assert!(problems.iter().all(|problem| problem.severity() == Severity::Warning));
    }

    #[test]
    fn long_names_and_zero_bytes() {
        let text = format!("volume {} type x/y option k a\0b end-volume", "n".repeat(255));
        let found = problems(text.as_bytes());
        assert!(found[0].ends_with("a name of 255 bytes: translators have room for 254 only"), "{found:?}");
        assert_eq!(found[1], "line 1: a zero byte: glusterfs would cut the word there");
    }

    #[test]
    fn types_that_are_not_installed() {
        let volfile = Volfile::parse("volume a type x/y option k v end-volume").unwrap();
        let graph = Graph::new(&volfile).unwrap();
        assert!(graph.unknown_types(|xlator_type| xlator_type == "x/y").is_empty());
        let unknown = graph.unknown_types(|_| false);
        assert_eq!(unknown[0].to_string(), "line 1: volume `a`: the type `x/y` is not installed here");
    }
}
