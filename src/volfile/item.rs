//! One difference between two volfiles, in JSON and in words.

use std::fmt;

use serde::Serialize;

use super::brick::Address;

/// What changed, and what glusterfs has to do about it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Change {
    /// The greatest of the items' consequences.
    pub class: Class,
    /// The differences, in the order of the new volfile; what is gone comes last.
    pub items: Vec<Item>,
}

/// What a mounted glusterfs does with a new volfile (facts §11.2).
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Nothing: layout, comments, the order of options, orphans and credentials do not count.
    #[default]
    None,
    /// Options are applied to the running graph.
    Options,
    /// A new graph is built, and open files move to it.
    Topology,
}

/// One difference. All text is fit to be shown: secrets are out, control characters escaped.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are what the variant's sentence names")]
pub enum Item {
    /// An option of a volume that it did not have.
    OptionSet {
        volume: String,
        key: String,
        to: String,
        #[serde(skip_serializing_if = "is_false")]
        needs_new_graph: bool,
    },
    /// An option with another value.
    OptionChanged {
        volume: String,
        key: String,
        from: String,
        to: String,
        /// glusterfs takes the new value in place, but it works only in the next graph: a transport's options
        /// are for its next connection (facts §11.2).
        #[serde(skip_serializing_if = "is_false")]
        needs_new_graph: bool,
    },
    /// An option of a volume that it has no longer.
    OptionRemoved {
        volume: String,
        key: String,
        from: String,
        #[serde(skip_serializing_if = "is_false")]
        needs_new_graph: bool,
    },
    /// A new translator.
    TranslatorAdded { volume: String, r#type: String },
    /// A translator that is gone.
    TranslatorRemoved { volume: String, r#type: String },
    /// A translator of the same name and another type.
    TypeChanged { volume: String, from: String, to: String },
    /// A new brick; `volume` is the name of its `protocol/client`.
    BrickAdded { volume: String, brick: Address },
    /// A brick that is gone.
    BrickRemoved { volume: String, brick: Address },
    /// Another brick in the place of one: under the same name, or at the same place of the same parent.
    BrickReplaced { volume: String, from: Address, to: Address },
    /// The same brick under another name.
    BrickRenamed { brick: Address, from: String, to: String },
    /// The same children in another order.
    ChildrenReordered { volume: String, from: Vec<String>, to: Vec<String> },
    /// Other children, where that is more than translators added and removed.
    ChildrenChanged { volume: String, from: Vec<String>, to: Vec<String> },
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no change",
            Self::Options => "options: applied in place",
            Self::Topology => "topology: a new graph",
        })
    }
}

impl fmt::Display for Change {
    /// One line an item; nothing for no change.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.items.iter().try_for_each(|item| writeln!(f, "{item}"))
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OptionSet { volume, key, to, needs_new_graph } => {
                write!(f, "~ {volume}: {key} set to {to}{}", later(*needs_new_graph))
            }
            Self::OptionChanged { volume, key, from, to, needs_new_graph } => {
                write!(f, "~ {volume}: {key} {from} → {to}{}", later(*needs_new_graph))
            }
            Self::OptionRemoved { volume, key, from, needs_new_graph } => {
                write!(f, "~ {volume}: {key} {from} removed{}", later(*needs_new_graph))
            }
            Self::TranslatorAdded { volume, r#type } => write!(f, "+ {volume} ({})", r#type),
            Self::TranslatorRemoved { volume, r#type } => write!(f, "- {volume} ({})", r#type),
            Self::TypeChanged { volume, from, to } => write!(f, "~ {volume}: type {from} → {to}"),
            Self::BrickAdded { volume, brick } => write!(f, "+ brick {brick} ({volume})"),
            Self::BrickRemoved { volume, brick } => write!(f, "- brick {brick} ({volume})"),
            Self::BrickReplaced { volume, from, to } => write!(f, "~ brick {from} → {to} ({volume})"),
            Self::BrickRenamed { brick, from, to } => write!(f, "~ brick {brick}: {from} → {to}"),
            Self::ChildrenReordered { volume, from, to } => {
                write!(f, "~ {volume}: order of children {} → {}", Names(from), Names(to))
            }
            Self::ChildrenChanged { volume, from, to } => {
                write!(f, "~ {volume}: children {} → {}", Names(from), Names(to))
            }
        }
    }
}

fn later(needs_new_graph: bool) -> &'static str {
    if needs_new_graph { " (works from the next graph on)" } else { "" }
}

/// A list that stays on its line however many there are.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 6;
        match self.0.get(..SHOWN) {
            _ if self.0.is_empty() => f.write_str("none"),
            Some(some) if self.0.len() > SHOWN => {
                write!(f, "{}, … ({} in all)", some.join(", "), self.0.len())
            }
            _ => f.write_str(&self.0.join(", ")),
        }
    }
}
