//! Where things are in the API.

use std::collections::BTreeMap;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    /// None for all namespaces, and for what has none.
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    /// The subresource `status`.
    pub(super) status: bool,
}

impl Place {
    /// `/apis/GROUP/VERSION[/namespaces/NAMESPACE]/PLURAL[/NAME[/status]]`, or `/api/v1/…`.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let mut words = path.trim_matches('/').split('/');
        let group = match words.next()? {
            "api" => "",
            "apis" => words.next()?,
            _ => return None,
        };
        let version = words.next()?;
        let (namespace, plural) = match words.next()? {
            "namespaces" => (Some(words.next()?.to_owned()), words.next()?),
            plural => (None, plural),
        };
        let name = words.next().map(str::to_owned);
        let status = words.next() == Some("status");
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            namespace,
            name,
            status,
        })
    }

    /// As RBAC names it.
    pub(super) fn resource(&self) -> String {
        if self.status { format!("{}/status", self.plural) } else { self.plural.clone() }
    }

    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether it is one of those that a list of `other` has.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        (&self.group, &self.plural) == (&other.group, &other.plural)
            && other.namespace.as_ref().is_none_or(|namespace| Some(namespace) == self.namespace.as_ref())
    }

    /// The object as a whole.
    pub(super) fn object(&self) -> Self {
        Self { status: false, ..self.clone() }
    }
}

/// The pairs of a query.
pub(super) fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decoded(key), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = &after[if byte.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8(bytes).unwrap()
}
