//! Looking at trees, and speaking of them.

use std::rc::Rc;

use super::{
    fault::Place,
    node::{Content, Key, Node},
};
use crate::{
    mount::{options::nearest_of, source::shortened},
    storage::parameters::plain,
};

/// The keys of an object with their values.
pub(super) type Fields = [(Key, Rc<Node>)];

impl Node {
    pub(super) fn is_empty(&self) -> bool {
        match &self.content {
            Content::Null => true,
            Content::Scalar(text) => text.is_empty(),
            Content::List(items) => items.is_empty(),
            Content::Object(fields) => fields.is_empty(),
        }
    }

    pub(super) fn is_list_of_objects(&self) -> bool {
        let object = |item: &Rc<Self>| matches!(item.content, Content::Object(_));
        matches!(&self.content, Content::List(items) if items.first().is_some_and(object))
    }
}

/// The field of that name, and its value.
pub(super) fn field<'n>(fields: &'n Fields, name: &str) -> Option<&'n (Key, Rc<Node>)> {
    fields.iter().find(|(key, _)| key.text == name)
}

/// The path of a field.
pub(super) fn join(path: &str, key: &str) -> String {
    let dot = if path.is_empty() { "" } else { "." };
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let key = if plain && !key.is_empty() { shortened(key) } else { shown(key) };
    format!("{path}{dot}{key}")
}

/// ` in line 3, column 5`, where there is a text.
pub(super) fn by(at: Option<Place>) -> String {
    at.map(|at| format!(" in {at}")).unwrap_or_default()
}

/// What somebody wrote, in quotes, without what a terminal would obey.
pub(super) fn shown(text: &str) -> String {
    format!("{:?}", shortened(text))
}

/// What is told where kubectl takes a word for another one.
pub(super) fn in_quotes(word: &str, other: &str) -> String {
    format!("kubectl takes {} for {other}: write it in quotes", shortened(word))
}

/// The word that is meant by this one, if one is.
pub(super) fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let spelt: Vec<_> = known.iter().map(|known| plain(known)).collect();
    let near = nearest_of(&plain(&shortened(word)), spelt.iter().map(String::as_str))?;
    spelt.iter().position(|spelt| spelt == near).map(|at| known[at])
}

/// As Kubernetes names objects (RFC 1123).
pub(super) fn is_name(name: &str, most: usize) -> bool {
    let label = |label: &str| {
        let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte != b'-');
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        ends(label.bytes().next()) && ends(label.bytes().last()) && label.bytes().all(letter)
    };
    name.len() <= most && name.split('.').all(label)
}
