//! What changed from one volfile to the next.

use std::collections::{HashMap, HashSet};

use bstr::BStr;

use super::brick::Address;
use super::graph::{Graph, Xlator};
use super::item::{Change, Class, Item};
use super::secret::{is_credential, shown_key, shown_value};
use super::shown::shown;

/// Compares two graphs as glusterfs does when it is given a new volfile (facts §11.2): below the top, by name.
///
/// Both should be without errors (see [`Graph::problems`]): of two volumes of one name only the first counts.
pub fn diff(old: &Graph<'_>, new: &Graph<'_>) -> Change {
    Comparison { old, new, change: Change::default() }.run()
}

struct Comparison<'g> {
    old: &'g Graph<'g>,
    new: &'g Graph<'g>,
    change: Change,
}

impl<'g> Comparison<'g> {
    fn run(mut self) -> Change {
        if self.old.top().name() != self.new.top().name() {
            self.change.class = Class::Topology;
        }
        let renamed = self.renamed();
        let replaced = self.replaced(&renamed);
        let successors: HashSet<usize> =
            renamed.values().chain(replaced.values()).map(|old| old.index()).collect();

        for new in self.new.xlators().filter(|xlator| xlator.is_reachable()) {
            if let Some(old) = counterpart(self.old, new) {
                self.compare(old, new);
            } else if let (Some(old), Some(brick)) = (renamed.get(&new.index()), new.brick()) {
                let (from, to) = (shown(old.name()), shown(new.name()));
                self.topology(Item::BrickRenamed { brick, from, to });
                self.options(*old, new);
            } else if let Some((old, (from, to))) =
                replaced.get(&new.index()).and_then(|old| Some((old, old.brick().zip(new.brick())?)))
            {
                self.topology(Item::BrickReplaced { volume: shown(new.name()), from, to });
                self.options(*old, new);
            } else {
                let volume = shown(new.name());
                self.topology(match new.brick() {
                    Some(brick) => Item::BrickAdded { volume, brick },
                    None => Item::TranslatorAdded { volume, r#type: shown(new.xlator_type()) },
                });
            }
        }
        for old in self.old.xlators().filter(|xlator| xlator.is_reachable()) {
            if counterpart(self.new, old).is_none() && !successors.contains(&old.index()) {
                let volume = shown(old.name());
                self.topology(match old.brick() {
                    Some(brick) => Item::BrickRemoved { volume, brick },
                    None => Item::TranslatorRemoved { volume, r#type: shown(old.xlator_type()) },
                });
            }
        }
        self.change
    }

    /// New clients, by index, whose brick had a client of another name.
    fn renamed(&self) -> HashMap<usize, Xlator<'g>> {
        let gone = only_in(self.old, self.new);
        let mut gone: HashMap<Address, Xlator<'g>> =
            gone.filter_map(|old| Some((old.brick()?, old))).collect();
        let came = only_in(self.new, self.old);
        came.filter_map(|new| Some((new.index(), gone.remove(&new.brick()?)?))).collect()
    }

    /// New clients, by index, that stand where one stood before: at the same place of as many children.
    fn replaced(&self, renamed: &HashMap<usize, Xlator<'g>>) -> HashMap<usize, Xlator<'g>> {
        let mut taken: HashSet<usize> = renamed.values().map(|old| old.index()).collect();
        let mut replaced = HashMap::new();
        for parent in self.new.xlators().filter(|xlator| xlator.is_reachable()) {
            let Some(before) = counterpart(self.old, parent) else { continue };
            if before.children().len() != parent.children().len() {
                continue;
            }
            for (old, new) in before.children().zip(parent.children()) {
                let both_alone = counterpart(self.new, old).is_none() && counterpart(self.old, new).is_none();
                let known = renamed.contains_key(&new.index()) || replaced.contains_key(&new.index());
                if both_alone
                    && !known
                    && old.brick().is_some()
                    && new.brick().is_some()
                    && taken.insert(old.index())
                {
                    replaced.insert(new.index(), old);
                }
            }
        }
        replaced
    }

    /// Two translators of one name.
    fn compare(&mut self, old: Xlator<'g>, new: Xlator<'g>) {
        let volume = || shown(new.name());
        if old.xlator_type() != new.xlator_type() {
            let (from, to) = (shown(old.xlator_type()), shown(new.xlator_type()));
            self.topology(Item::TypeChanged { volume: volume(), from, to });
        }
        if !old.children().map(Xlator::name).eq(new.children().map(Xlator::name)) {
            self.children(old, new);
        }
        let elsewhere = REMOTE.iter().any(|key| old.option(key) != new.option(key));
        let moved = if elsewhere { old.brick().zip(new.brick()) } else { None };
        let is_moved = moved.is_some();
        if let Some((from, to)) = moved {
            self.topology(Item::BrickReplaced { volume: volume(), from, to });
        }
        if old.section().options() != new.section().options() {
            self.options_but(old, new, is_moved);
        }
    }

    fn children(&mut self, old: Xlator<'g>, new: Xlator<'g>) {
        self.change.class = Class::Topology;
        let stayed = |of: Xlator<'g>, other: &Graph<'_>| -> Vec<&'g BStr> {
            of.children().filter(|child| counterpart(other, *child).is_some()).map(Xlator::name).collect()
        };
        let (before, after) = (stayed(old, self.new), stayed(new, self.old));
        if before == after {
            return; // What came and went says it all.
        }
        let sorted = |xlator: Xlator<'g>| {
            let mut names: Vec<_> = xlator.children().map(Xlator::name).collect();
            names.sort();
            names
        };
        let names = |xlator: Xlator<'_>| xlator.children().map(|child| shown(child.name())).collect();
        let (volume, from, to) = (shown(new.name()), names(old), names(new));
        self.topology(if sorted(old) == sorted(new) {
            Item::ChildrenReordered { volume, from, to }
        } else {
            Item::ChildrenChanged { volume, from, to }
        });
    }

    fn options(&mut self, old: Xlator<'g>, new: Xlator<'g>) {
        self.options_but(old, new, true);
    }

    /// The options of two translators, as maps; without those that say where the brick is, if `moved` said it.
    fn options_but(&mut self, old: Xlator<'g>, new: Xlator<'g>, moved: bool) {
        let counts = |(key, _): &(&BStr, &BStr)| !(is_credential(key) || moved && is_remote(new, key));
        let mut before = old.options().into_iter().filter(counts).peekable();
        let mut after = new.options().into_iter().filter(counts).peekable();
        loop {
            // Both are sorted by key: the smaller of the two heads is next.
            let order = match (before.peek(), after.peek()) {
                (None, None) => return,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((old, _)), Some((new, _))) => old.cmp(new),
            };
            let from = if order.is_le() { before.next() } else { None };
            let to = if order.is_ge() { after.next() } else { None };
            self.option(new, from, to);
        }
    }

    fn option(&mut self, of: Xlator<'g>, from: Option<(&BStr, &BStr)>, to: Option<(&BStr, &BStr)>) {
        let Some((key, _)) = from.or(to) else { return };
        if from == to {
            return;
        }
        let class = if is_remote(of, key) { Class::Topology } else { Class::Options };
        self.change.class = self.change.class.max(class);
        let needs_new_graph = of.xlator_type() == "protocol/client" && is_transport(key);
        let value = |(key, value): (&BStr, &BStr)| shown_value(key, value);
        let (volume, key) = (shown(of.name()), shown(&shown_key(key)));
        self.change.items.extend(match (from.map(value), to.map(value)) {
            (Some(from), Some(to)) => Some(Item::OptionChanged { volume, key, from, to, needs_new_graph }),
            (Some(from), None) => Some(Item::OptionRemoved { volume, key, from, needs_new_graph }),
            (None, Some(to)) => Some(Item::OptionSet { volume, key, to, needs_new_graph }),
            (None, None) => None,
        });
    }

    fn topology(&mut self, item: Item) {
        self.change.class = Class::Topology;
        self.change.items.push(item);
    }
}

/// The options whose change makes `protocol/client` ask for a new graph (facts §11.2).
const REMOTE: [&str; 2] = ["remote-host", "remote-subvolume"];

fn is_remote(xlator: Xlator<'_>, key: &BStr) -> bool {
    xlator.xlator_type() == "protocol/client" && REMOTE.iter().any(|remote| key == *remote)
}

/// Whether an option of `protocol/client` is one of its connection, which a running one does not take up.
fn is_transport(key: &BStr) -> bool {
    key.starts_with(b"transport") || key == "remote-port"
}

/// The translator of the same name in the other graph.
fn counterpart<'g>(graph: &'g Graph<'g>, xlator: Xlator<'_>) -> Option<Xlator<'g>> {
    graph.get(xlator.name()).filter(|xlator| xlator.is_reachable())
}

fn only_in<'g>(graph: &'g Graph<'g>, other: &'g Graph<'g>) -> impl Iterator<Item = Xlator<'g>> {
    graph.xlators().filter(move |xlator| xlator.is_reachable() && counterpart(other, *xlator).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volfile::Volfile;
    use crate::volfile::example::Example;

    fn change(old: &Volfile<'_>, new: &Volfile<'_>) -> (Class, Vec<String>) {
        let change = diff(&Graph::new(old).unwrap(), &Graph::new(new).unwrap());
        (change.class, change.items.iter().map(ToString::to_string).collect())
    }

    fn example() -> Example {
        Example::new("v", 3, [("g1", "/a"), ("g2", "/a"), ("g3", "/a")])
    }

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn options_are_compared_as_maps() {
        let old = Volfile::parse("volume v type x/y option a 1 option b 2 option c 3 end-volume").unwrap();
        let new = Volfile::parse("volume v type x/y option d 4 option b 9 option a 1 option b 3 end-volume")
            .unwrap();
        let expected = lines("~ v: b 2 → 3\n~ v: c 3 removed\n~ v: d set to 4");
        assert_eq!(change(&old, &new), (Class::Options, expected));
    }

    #[test]
    fn options_of_a_connection_wait_for_a_new_graph() {
        let tls = example().option("protocol/client", "transport.socket.ssl-enabled", "on");
        let (class, items) = change(&example().volfile(), &tls.volfile());
        assert_eq!(class, Class::Options);
        assert_eq!(
            items[0],
            "~ v-client-0: transport.socket.ssl-enabled off → on (works from the next graph on)"
        );
    }

    #[test]
    fn bricks_come_go_move_and_change_their_names() {
        let old = example().volfile();
        let mut other = example();
        other.bricks[1] = ("g9".to_owned(), "/b".to_owned());
        assert_eq!(
            change(&old, &other.volfile()),
            (Class::Topology, lines("~ brick g2:/a → g9:/b (v-client-1)"))
        );

        let mut four = Example { replica: 4, ..example() };
        four.bricks.push(("g4".to_owned(), "/a".to_owned()));
        let pending = "v-client-0,v-client-1,v-client-2";
        let added = lines(&format!(
            "+ brick g4:/a (v-client-3)\n~ v-replicate-0: afr-pending-xattr {pending} → {pending},v-client-3"
        ));
        assert_eq!(change(&old, &four.volfile()), (Class::Topology, added));
        let (class, removed) = change(&four.volfile(), &old);
        assert_eq!((class, &*removed[1]), (Class::Topology, "- brick g4:/a (v-client-3)"));

        let text = String::from_utf8(old.render().unwrap()).unwrap();
        let renamed =
            text.replace("v-client-1", "v-client-7").replace("g3", "g8").replace("v-client-2", "v-client-8");
        let (class, items) = change(&old, &Volfile::parse(&renamed).unwrap());
        assert_eq!(class, Class::Topology);
        assert!(items.contains(&"~ brick g2:/a: v-client-1 → v-client-7".to_owned()), "{items:?}");
        assert!(items.contains(&"~ brick g3:/a → g8:/a (v-client-8)".to_owned()), "{items:?}");
    }

    #[test]
    fn translators_come_go_and_change() {
        let old = Volfile::parse(
            "volume a type x/a option k 1 end-volume volume t type x/t subvolumes a end-volume",
        )
        .unwrap();
        let new = "volume a type x/b option k 1 end-volume volume s type features/shard subvolumes a end-volume \
                   volume t type x/t subvolumes s end-volume";
        let new = Volfile::parse(new).unwrap();
        let items = lines("~ a: type x/a → x/b\n+ s (features/shard)\n~ t: children a → s");
        assert_eq!(change(&old, &new), (Class::Topology, items));
        let items = lines("~ a: type x/b → x/a\n~ t: children s → a\n- s (features/shard)");
        assert_eq!(change(&new, &old), (Class::Topology, items));
    }

    #[test]
    fn the_order_of_children_matters() {
        let text = "volume a type x/a option k 1 end-volume volume b type x/b option k 1 end-volume \
                    volume t type x/t subvolumes a b end-volume";
        let new = text.replace("a b", "b a");
        let (old, new) = (Volfile::parse(text).unwrap(), Volfile::parse(&new).unwrap());
        assert_eq!(change(&old, &new), (Class::Topology, lines("~ t: order of children a, b → b, a")));
    }

    #[test]
    fn json_is_stable_and_without_secrets() {
        let volfile = |ping: &str, password: &str, key: &str| {
            let mut volfile = Volfile::new();
            let volume = volfile.volume("c", "protocol/client").option("password", password);
            volume.option("ping-timeout", ping).option("s3plugin-seckey", key).option("transport-type", ping);
            volfile
        };
        let (old, new) = (volfile("42", "hush", "hush1"), volfile("10", "hush2", "hush3"));
        let change = diff(&Graph::new(&old).unwrap(), &Graph::new(&new).unwrap());
        assert_eq!(
            serde_json::to_string(&change).unwrap(),
            r#"{"class":"options","items":[{"kind":"option-changed","volume":"c","key":"ping-timeout","from":"42","to":"10"},"#
                .to_owned()
                + r#"{"kind":"option-changed","volume":"c","key":"s3plugin-seckey","from":"(secret)","to":"(secret)"},"#
                + r#"{"kind":"option-changed","volume":"c","key":"transport-type","from":"42","to":"10","needs_new_graph":true}]}"#
        );
    }
}
