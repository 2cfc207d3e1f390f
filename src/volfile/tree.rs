//! A graph for eyes: as a tree and as Graphviz' dot.

use std::fmt;

use super::graph::{Graph, Xlator};
use super::shown::Shown;

/// How many levels of a tree are indented. Real graphs have about fifteen; this keeps the size of the output
/// in proportion to that of a volfile which is one long chain.
const MAX_INDENT: usize = 60;

impl Graph<'_> {
    /// The translators below the top as a tree, one a line: name, type, and the brick of a client. One with
    /// several parents is drawn below the first only. No options, so no secrets.
    pub fn tree(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            let mut drawn = vec![false; self.xlators().len()];
            // What is still to draw, with the lines that lead to it.
            let mut open = vec![(self.top(), String::new(), String::new())];
            while let Some((xlator, lead, indent)) = open.pop() {
                let again = std::mem::replace(&mut drawn[xlator.index()], true);
                let see = if again && xlator.children().len() > 0 { " (see above)" } else { "" };
                writeln!(f, "{lead}{}{see}", Label(xlator, "  "))?;
                if again {
                    continue;
                }
                let deep = indent.chars().count() >= MAX_INDENT;
                let last = xlator.children().len().saturating_sub(1);
                open.extend(xlator.children().enumerate().rev().map(|(n, child)| {
                    let (branch, line) = if n == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
                    let below = if deep { indent.clone() } else { format!("{indent}{line}") };
                    (child, format!("{indent}{branch}"), below)
                }));
            }
            Ok(())
        })
    }

    /// The graph in Graphviz' language; what is not below the top is dashed. No options, so no secrets.
    pub fn dot(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            writeln!(f, "digraph {} {{\n    node [shape=box];", Quoted(Shown(self.top().name())))?;
            for xlator in self.xlators().rev() {
                let name = Quoted(Shown(xlator.name()));
                let style = if xlator.is_reachable() { "" } else { " style=dashed" };
                writeln!(f, "    {name} [label={}{style}];", Quoted(Label(xlator, "\n")))?;
                for child in xlator.children() {
                    writeln!(f, "    {name} -> {};", Quoted(Shown(child.name())))?;
                }
            }
            f.write_str("}\n")
        })
    }
}

/// Name, type and brick with something between them.
struct Label<'g>(Xlator<'g>, &'static str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(xlator, between) = self;
        write!(f, "{}{between}{}", Shown(xlator.name()), Shown(xlator.xlator_type()))?;
        xlator.brick().map_or(Ok(()), |brick| write!(f, "{between}{brick}"))
    }
}

/// As a string of dot: its only escape that matters is that of the quote, and `\n` is a line.
struct Quoted<T>(T);

impl<T: fmt::Display> fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        write!(f, "\"{text}\"")
    }
}

#[cfg(test)]
mod tests {
    use crate::volfile::{Graph, Volfile};

    fn shared() -> Volfile<'static> {
        let mut volfile = Volfile::new();
        volfile.volume("c", "protocol/client").option("remote-host", "g1").option("remote-subvolume", "/b");
        volfile.volume("s", "x/shared").subvolumes(["c"]);
        volfile.volume("a", "x/a").subvolumes(["s"]);
        volfile.volume("t\"\x1b", "x/top").subvolumes(["a", "s"]);
        volfile
    }

    #[test]
    fn a_tree_draws_a_shared_child_once() {
        let volfile = shared();
        assert_eq!(
            Graph::new(&volfile).unwrap().tree().to_string(),
            "t\"\\u{1b}  x/top\n├─ a  x/a\n│  └─ s  x/shared\n│     └─ c  protocol/client  g1:/b\n└─ s  x/shared (see above)\n"
        );
    }

    #[test]
    fn dot_quotes_names() {
        let volfile = shared();
        let dot = Graph::new(&volfile).unwrap().dot().to_string();
        assert!(dot.contains("\"c\" [label=\"c\\nprotocol/client\\ng1:/b\"];"), "{dot}");
        assert!(dot.contains("\"t\\\"\\\\u{1b}\" -> \"a\";"), "{dot}");
    }

    #[test]
    fn depth_costs_no_stack_and_little_text() {
        let mut volfile = Volfile::new();
        volfile.volume("0", "x/y").option("k", "v");
        for n in 1..100_000 {
            let (name, below) = (n.to_string(), (n - 1).to_string());
            volfile.volume(name, "x/y").subvolumes([below.clone(), below]);
        }
        let graph = Graph::new(&volfile).unwrap();
        assert!(graph.tree().to_string().len() < 100_000 * 400);
        assert!(graph.canonical_bytes().len() < 100_000 * 100);
    }
}
