//! Volfiles like those glusterd 10.3 writes, for demonstrations, tests and benches.

use bstr::BString;

use super::text::Volfile;

/// What a client's volfile is made from.
#[derive(Clone, Debug)]
pub struct Example {
    /// The volume's name.
    pub volume: String,
    /// Copies of each file; 1 for none.
    pub replica: usize,
    /// Host and path of each brick; `replica` in a row make a set.
    pub bricks: Vec<(String, String)>,
    /// Options set by hand: the type of the translators, key and value. An option that is there already gets
    /// the new value.
    pub options: Vec<(String, String, String)>,
}

impl Example {
    /// A volume with `replica` copies on the bricks `(host, path)`, with the options that glusterd sets by
    /// itself.
    pub fn new<'b>(
        volume: &str,
        replica: usize,
        bricks: impl IntoIterator<Item = (&'b str, &'b str)>,
    ) -> Self {
        let bricks = bricks.into_iter().map(|(host, path)| (host.to_owned(), path.to_owned())).collect();
        Self { volume: volume.to_owned(), replica: replica.max(1), bricks, options: Vec::new() }
    }

    /// A volume of `count` bricks on as many hosts, `replica` copies each.
    pub fn with_bricks(volume: &str, replica: usize, count: usize) -> Self {
        let bricks =
            (0..count).map(|n| (format!("server-{n}.example.net"), format!("/bricks/{volume}/brick-{n}")));
        Self {
            volume: volume.to_owned(),
            replica: replica.max(1),
            bricks: bricks.collect(),
            options: Vec::new(),
        }
    }

    /// Sets an option of all translators of a type.
    pub fn option(mut self, xlator_type: &str, key: &str, value: &str) -> Self {
        self.options.push((xlator_type.to_owned(), key.to_owned(), value.to_owned()));
        self
    }

    /// The volfile: a `protocol/client` for each brick, the replica sets, `cluster/distribute` over them, and
    /// the translators of a default volume up to `debug/io-stats`.
    pub fn volfile(&self) -> Volfile<'static> {
        let mut out = Volfile::new();
        let name = |suffix: &str| format!("{}-{suffix}", self.volume);
        let mut sets = Vec::new();
        let clients: Vec<_> = (0..self.bricks.len()).map(|n| name(&format!("client-{n}"))).collect();
        for (client, (host, path)) in clients.iter().zip(&self.bricks) {
            let own = [("remote-subvolume", path.as_str()), ("remote-host", host.as_str())];
            self.add(&mut out, client, "protocol/client", CLIENT.iter().copied().chain(own), &[]);
        }
        for (n, set) in clients.chunks(self.replica).enumerate() {
            if self.replica == 1 {
                sets.extend_from_slice(set);
                continue;
            }
            let replicate = name(&format!("replicate-{n}"));
            let pending = set.join(",");
            let own = [("afr-pending-xattr", pending.as_str())];
            self.add(&mut out, &replicate, "cluster/replicate", REPLICATE.iter().copied().chain(own), set);
            sets.push(replicate);
        }
        let mut below = name("dht");
        self.add(&mut out, &below, "cluster/distribute", DISTRIBUTE.iter().copied(), &sets);
        for (suffix, xlator_type, options) in STACK {
            let next = name(suffix);
            self.add(&mut out, &next, xlator_type, options.iter().copied(), &[below]);
            below = next;
        }
        self.add(&mut out, &self.volume, "debug/io-stats", IO_STATS.iter().copied(), &[below]);
        out
    }

    fn add<'o>(
        &self,
        out: &mut Volfile<'static>,
        name: &str,
        xlator_type: &str,
        defaults: impl Iterator<Item = (&'o str, &'o str)>,
        subvolumes: &[String],
    ) {
        let mut options: Vec<(&str, &str)> = defaults.collect();
        for (_, key, value) in self.options.iter().filter(|(of, ..)| of == xlator_type) {
            match options.iter_mut().find(|(known, _)| known == key) {
                Some(option) => option.1 = value,
                None => options.push((key, value)),
            }
        }
        let mut volume = out.volume(name, xlator_type);
        for (key, value) in options {
            volume = volume.option(key, value);
        }
        volume.subvolumes(subvolumes.iter().map(|name| BString::from(name.as_str())));
    }
}

type Options = &'static [(&'static str, &'static str)];

const CLIENT: Options = &[
    ("send-gids", "true"),
    ("strict-locks", "off"),
    ("transport.socket.keepalive-count", "9"),
    ("transport.socket.keepalive-interval", "2"),
    ("transport.socket.keepalive-time", "20"),
    ("transport.tcp-user-timeout", "0"),
    ("transport.socket.ssl-enabled", "off"),
    ("transport.address-family", "inet"),
    ("transport-type", "tcp"),
    ("ping-timeout", "42"),
];

const REPLICATE: Options =
    &[("use-anonymous-inode", "yes"), ("use-compound-fops", "off"), ("granular-entry-heal", "on")];

const DISTRIBUTE: Options = &[("force-migration", "off"), ("lock-migration", "off")];

/// From `cluster/distribute` upwards.
const STACK: &[(&str, &str, Options)] = &[
    ("utime", "features/utime", &[("noatime", "on")]),
    ("write-behind", "performance/write-behind", &[]),
    ("open-behind", "performance/open-behind", &[]),
    ("quick-read", "performance/quick-read", &[]),
    ("md-cache", "performance/md-cache", &[]),
];

const IO_STATS: Options = &[
    ("global-threading", "off"),
    ("count-fop-hits", "off"),
    ("latency-measurement", "off"),
    ("threads", "16"),
    ("log-level", "INFO"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volfile::Graph;

    #[test]
    fn an_example_is_a_good_volfile() {
        let volfile =
            Example::with_bricks("vol", 3, 6).option("protocol/client", "ping-timeout", "10").volfile();
        let text = volfile.render().unwrap();
        let read = Volfile::parse(&text).unwrap();
        assert_eq!(read, volfile);
        let graph = Graph::new(&read).unwrap();
        assert_eq!(graph.problems(), []);
        assert_eq!(graph.get("vol-client-5").unwrap().option("ping-timeout").unwrap(), "10");
        assert_eq!(graph.get("vol-dht").unwrap().children().len(), 2);
    }
}
