//! A volfile that mounts may be given.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::{
    client,
    volfile::{Address, Change, Graph, Volfile},
};

/// A volfile that mounts may be given.
#[derive(Debug)]
pub(in crate::mount) struct Accepted {
    pub(in crate::mount) text: Bytes,
    /// `sha256:…` of the text.
    pub(in crate::mount) digest: String,
    /// Equal for volfiles between which there is no change.
    pub(in crate::mount) meaning: [u8; 32],
    /// The volume's id; a process that serves another one is never given this.
    pub(in crate::mount) id: Option<String>,
    pub(in crate::mount) kind: String,
    pub(in crate::mount) at: Instant,
}

impl Accepted {
    /// `None` for a text that is no volfile.
    pub(in crate::mount) fn new(text: Bytes, id: Option<String>) -> Option<Self> {
        let volfile = Volfile::parse(&text).ok()?;
        let graph = Graph::new(&volfile)?;
        let (kind, meaning) = (graph.kind().to_string(), Sha256::digest(graph.canonical_bytes()).into());
        let digest = client::digest(&text);
        Some(Self { digest, meaning, id, kind, at: Instant::now(), text })
    }

    /// The bricks, as the volfile names them, each with the name of its client.
    pub(in crate::mount) fn clients(&self) -> Vec<(String, Address)> {
        // It was parsed before.
        let Ok(volfile) = Volfile::parse(&self.text) else { return Vec::new() };
        let Some(graph) = Graph::new(&volfile) else { return Vec::new() };
        graph.xlators().filter_map(|xlator| Some((xlator.name().to_string(), xlator.brick()?))).collect()
    }

    /// The bricks alone.
    pub(in crate::mount) fn bricks(&self) -> Vec<Address> {
        self.clients().into_iter().map(|(_, brick)| brick).collect()
    }

    /// What a mount of this has to do to become one of `other`.
    pub(in crate::mount) fn change_to(&self, other: &Self) -> Change {
        client::change(&self.text, &other.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volfile::{Class, example::Example};

    fn accepted(example: &Example) -> Accepted {
        Accepted::new(example.volfile().render().unwrap().into(), None).unwrap()
    }

    #[test]
    fn what_means_the_same_is_known_by_its_meaning() {
        let example = Example::with_bricks("v", 3, 3);
        let (one, spelled) = (accepted(&example), example.volfile().render().unwrap());
        let spelled = Accepted::new([b"# another layout\n".to_vec(), spelled].concat().into(), None).unwrap();
        assert_ne!(one.digest, spelled.digest);
        assert_eq!(one.meaning, spelled.meaning);
        assert_eq!(one.change_to(&spelled).class, Class::None);
        let other = accepted(&example.option("debug/io-stats", "log-level", "DEBUG"));
        assert_ne!(one.meaning, other.meaning);
        assert_eq!((one.kind.as_str(), one.bricks().len()), ("replicate 3", 3));
        assert!(Accepted::new("volume v".into(), None).is_none());
    }
}
