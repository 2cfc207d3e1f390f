//! What an external storage says, in `spec` and in `spec.details`.

use super::{
    KIND,
    fault::Place,
    marks::Marks,
    node::{Content, Key, Node},
    reader::Reader,
    words::{Fields, by, in_quotes, join, shown},
};
use crate::{
    mount::options::MountOptions,
    storage::parameters::{Parameters, Problem, Wrong, plain},
};

/// What may stand in `spec` and in `spec.details`, as it is documented.
const DETAILS: &[&str] = &[
    "gluster_hosts",
    "gluster_host",
    "gluster_node",
    "backup_nodes",
    "gluster_port",
    "gluster_volname",
    "gluster_options",
    "single_pv_per_pool",
    "kadalu_format",
    "pvReclaimPolicy",
    "quota",
    "soft_limit",
    "inodes",
    "overcommit",
    "allow",
];

/// What may stand in `spec` only.
const SPEC: &[&str] = &["type", "details", "volume_id", "tolerations"];

/// Of volumes of which kadalu runs the bricks.
const KADALU: &[&str] = &["storage", "tiebreaker", "disperse"];

/// Bytes of kadalu's `volume_id`, which is a UUID unless somebody has chosen another.
const MAX_VOLUME_ID: usize = 128;

/// Values of one storage: more than any has, few enough to compare them all.
const MAX_VALUES: usize = 1000;

/// One value of a storage, which may be an item of a list.
struct Pair<'n> {
    key: &'n str,
    value: &'n str,
    path: String,
    at: Option<Place>,
    /// What kubectl takes the value for, where that is another one.
    taken_for: Option<&'n str>,
}

impl<'n> Pair<'n> {
    fn new(key: &'n str, value: &'n str, path: String, node: &'n Node) -> Self {
        Self { key, value, path, at: node.at, taken_for: node.taken_for.as_deref() }
    }

    /// What to do where kubectl takes the value for one that means something else.
    fn misread(&self) -> Option<String> {
        let other = self.taken_for?;
        let meaning =
            |value| Parameters::read(&[("storage_name", "any"), ("servers", "any"), (self.key, value)]).ok();
        let meant = meaning(self.value)?;
        if meaning(other).as_ref() == Some(&meant) {
            return None;
        }
        let number = self.value.trim_start_matches('0');
        if number != self.value && meaning(number) == Some(meant) {
            return Some(format!("kubectl takes {} for {other}: write it without the 0", self.value));
        }
        Some(in_quotes(self.value, other))
    }
}

impl Reader {
    /// What an external storage says: kadalu's `volume_id`, and the rest.
    pub(super) fn spec(
        &mut self,
        node: &Node,
        fields: &Fields,
        path: &str,
        marks: &Marks,
    ) -> Option<(Option<String>, Parameters)> {
        let before = self.faults.len();
        let (mut pairs, mut volume_id, mut details) = (Vec::new(), None, None);
        for (key, value) in fields {
            let own = join(path, &key.text);
            match &*plain(&key.text) {
                "type" | "tolerations" => {}
                "details" => {
                    details = Some((value.at, own.clone()));
                    self.details(value, &own, &mut pairs);
                }
                "volumeid" => volume_id = self.volume_id(value, &own),
                word if KADALU.contains(&word) => {
                    if !value.is_empty() {
                        self.fault(
                            key.at,
                            &own,
                            "this is for volumes of which kadalu runs the bricks (Replica3, …): leave it out",
                        );
                    }
                }
                "options" if value.is_list_of_objects() => {
                    let message = "these are set by whoever runs the volume (gluster volume set): leave them out. Options of \
                        its mounts are gluster_options";
                    self.fault(key.at, &own, message);
                }
                _ if Parameters::describes(&key.text) => self.values(key, value, own, &mut pairs),
                _ => self.unknown(key, path, &[SPEC, DETAILS].concat()),
            }
        }
        // Defaults that the API server has put beside what a user wrote, by kadalu's definitions of the kind.
        let (single, format) = (("singlepvperpool", "false"), ("kadaluformat", "native"));
        for ((key, value), (other, _)) in [(single, format), (format, single)] {
            if marks.may_be_default(key) && pairs.iter().any(|pair| plain(pair.key) == other) {
                pairs.retain(|pair| plain(pair.key) != key || pair.value != value);
            }
        }
        for pair in &pairs {
            if let Some(message) = pair.misread() {
                self.fault(pair.at, &pair.path, message);
            }
        }
        let said: Vec<_> = pairs.iter().map(|pair| (pair.key, pair.value)).collect();
        match Parameters::read(&said) {
            Ok(mut parameters) => {
                for pair in pairs.iter().filter(|pair| Parameters::is_options(pair.key)) {
                    for note in pair.value.lines().flat_map(MountOptions::without_effect) {
                        self.note(pair.at, &pair.path, note);
                    }
                }
                // In one spelling, and servers among them are with the others now.
                parameters.options =
                    MountOptions::parse([parameters.options.canonical()]).unwrap_or_default();
                parameters.kind = Some(parameters.kind.unwrap_or_default());
                Some((volume_id, parameters))
            }
            Err(problems) => {
                let lacking = details.unwrap_or((node.at, join(path, "details")));
                // What is missing may be what is misspelt.
                let spelt = self.faults.len() == before;
                for problem in problems.iter().filter(|problem| spelt || problem.pair.is_some()) {
                    self.problem(problem, &pairs, &lacking);
                }
                None
            }
        }
    }

    fn details<'n>(&mut self, node: &'n Node, path: &str, pairs: &mut Vec<Pair<'n>>) {
        match &node.content {
            Content::Null => {}
            Content::List(items) => {
                for (n, item) in items.iter().enumerate() {
                    let path = format!("{path}[{n}]");
                    match n {
                        0 => self.detail(item, &path, pairs),
                        1 => {
                            let message =
                                format!("one volume is one storage: write another {KIND} for a second one");
                            self.fault(item.at, &path, message);
                        }
                        _ => {}
                    }
                }
            }
            _ => self.detail(node, path, pairs),
        }
    }

    fn detail<'n>(&mut self, node: &'n Node, path: &str, pairs: &mut Vec<Pair<'n>>) {
        let Some(fields) = self.object(node, path) else { return };
        for (key, value) in fields {
            if Parameters::describes(&key.text) {
                self.values(key, value, join(path, &key.text), pairs);
            } else if SPEC.iter().any(|word| plain(word) == plain(&key.text)) {
                self.fault(
                    key.at,
                    &join(path, &key.text),
                    "this stands in spec itself: write it beside type",
                );
            } else {
                self.unknown(key, path, DETAILS);
            }
        }
    }

    /// The value of a key, or each item of a list.
    fn values<'n>(&mut self, key: &'n Key, node: &'n Node, path: String, pairs: &mut Vec<Pair<'n>>) {
        let key = key.text.as_str();
        let items = if let Content::List(items) = &node.content { items.len() } else { 1 };
        if pairs.len() + items > MAX_VALUES {
            return self.fault(node.at, &path, format_args!("there are more than {MAX_VALUES} values"));
        }
        match &node.content {
            // Not given; where it is missing, it stands here.
            Content::Null => pairs.push(Pair::new(key, "", path, node)),
            Content::Scalar(value) => pairs.push(Pair::new(key, value, path, node)),
            Content::List(items) if Parameters::takes_list(key) => {
                if items.is_empty() {
                    pairs.push(Pair::new(key, "", path.clone(), node));
                }
                for (n, item) in items.iter().enumerate() {
                    let path = format!("{path}[{n}]");
                    match &item.content {
                        Content::Null => pairs.push(Pair::new(key, "", path, item)),
                        Content::Scalar(value) => pairs.push(Pair::new(key, value, path, item)),
                        _ => self.fault(item.at, &path, "a word is wanted, not a list or an object"),
                    }
                }
            }
            _ if Parameters::takes_list(key) => {
                self.fault(node.at, &path, "a word or a list of words is wanted, not an object");
            }
            _ => self.fault(node.at, &path, "one word is wanted, not a list or an object"),
        }
    }

    fn volume_id(&mut self, node: &Node, path: &str) -> Option<String> {
        if let (Content::Scalar(id), Some(other)) = (&node.content, &node.taken_for) {
            self.fault(node.at, path, in_quotes(id, other));
            return None;
        }
        match &node.content {
            Content::Null => None,
            Content::Scalar(id) if id.is_empty() => None,
            Content::Scalar(id)
                if id.len() <= MAX_VOLUME_ID && id.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                Some(id.clone())
            }
            _ => {
                let message =
                    format!("a UUID, or another word of at most {MAX_VOLUME_ID} letters, is wanted");
                self.fault(node.at, path, message);
                None
            }
        }
    }

    fn problem(&mut self, problem: &Problem, pairs: &[Pair<'_>], lacking: &(Option<Place>, String)) {
        let pair = problem.pair.and_then(|pair| pairs.get(pair));
        let (at, path) = pair.map_or((lacking.0, lacking.1.as_str()), |pair| (pair.at, pair.path.as_str()));
        match &problem.what {
            Wrong::Says(what) if pair.is_none() => {
                let (word, meaning) = what.split_once(", ").unwrap_or((what, what));
                match pairs.iter().find(|pair| Parameters::means(pair.key, word)) {
                    Some(empty) => {
                        self.fault(empty.at, &empty.path, format_args!("it is empty: write {meaning}"));
                    }
                    None => self.fault(at, path, format_args!("it lacks {what}")),
                }
            }
            Wrong::Says(message) => self.fault(at, path, message),
            Wrong::Contradicts(other) => {
                let value = shown(pair.map_or("", |pair| pair.value));
                let (other, said) =
                    pairs.get(*other).map_or(("", ""), |other| (other.path.as_str(), other.value));
                let place = by(pairs.iter().find(|pair| pair.path == other).and_then(|pair| pair.at));
                let said = shown(said);
                let message = format!("{value} contradicts {said} of {other}{place}: leave one of them out");
                self.fault(at, path, message);
            }
        }
    }
}
