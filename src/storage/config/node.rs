//! A text of YAML, or an object of the API, as a tree that knows where its parts stand.

use std::{collections::HashMap, rc::Rc};

use serde_json::Value;
use serde_saphyr::granit_parser::{
    Event, Parser, ScalarStyle, ScanError, Span, StrInput, options as parser_options,
};

use super::{
    fault::{Fault, Place},
    kubectl::taken_for,
};

/// Levels of lists and objects, also by way of aliases: more than any object of Kubernetes has.
const MAX_DEPTH: usize = 64;

/// Lists, objects and scalars of a text, with what its aliases stand for: so that they need no more than some megabytes, and
/// reading them no more than some milliseconds.
const MAX_NODES: usize = 100_000;

/// Bytes of a scalar that count as one more: an alias may stand for a long one.
const LONG: usize = 64;

/// A part of a tree. An alias is the node that it stands for.
#[derive(Debug)]
pub(super) struct Node {
    /// None where there is no text.
    pub(super) at: Option<Place>,
    pub(super) content: Content,
    /// What kubectl takes this word for, where that is another one.
    pub(super) taken_for: Option<String>,
    depth: usize,
    /// What it counts, with all that is in it.
    size: usize,
}

#[derive(Debug)]
pub(super) enum Content {
    Null,
    /// As it is written: `yes` is not `true` here, and `007` not 7.
    Scalar(String),
    List(Vec<Rc<Node>>),
    Object(Vec<(Key, Rc<Node>)>),
}

#[derive(Debug)]
pub(super) struct Key {
    pub(super) at: Option<Place>,
    pub(super) text: String,
}

impl Node {
    fn new(at: Option<Place>, content: Content) -> Self {
        let depth = match &content {
            Content::Null | Content::Scalar(_) => 0,
            Content::List(items) => 1 + items.iter().map(|item| item.depth).max().unwrap_or_default(),
            Content::Object(pairs) => 1 + pairs.iter().map(|(_, node)| node.depth).max().unwrap_or_default(),
        };
        let size = match &content {
            Content::Null => 1,
            Content::Scalar(text) => weight(text),
            Content::List(items) => items.iter().fold(1, |sum: usize, item| sum.saturating_add(item.size)),
            Content::Object(pairs) => {
                let pair = |(key, node): &(Key, Rc<Self>)| weight(&key.text).saturating_add(node.size);
                pairs.iter().map(pair).fold(1, usize::saturating_add)
            }
        };
        Self { at, content, taken_for: None, depth, size }
    }

    /// The tree of an object.
    pub(super) fn of_value(value: &Value) -> Result<Self, Fault> {
        Self::of(value, &mut 0, 0)
    }

    fn of(value: &Value, count: &mut usize, depth: usize) -> Result<Self, Fault> {
        *count += 1;
        check(*count, depth).map_err(|message| Fault::new(None, "", message))?;
        let mut node = |value| Ok(Rc::new(Self::of(value, count, depth + 1)?));
        let content = match value {
            Value::Null => Content::Null,
            Value::String(text) => Content::Scalar(text.clone()),
            Value::Bool(_) | Value::Number(_) => Content::Scalar(value.to_string()),
            Value::Array(items) => Content::List(items.iter().map(node).collect::<Result<_, _>>()?),
            Value::Object(fields) => {
                let pair = |(text, value): (&String, _)| {
                    Ok::<_, Fault>((Key { at: None, text: text.clone() }, node(value)?))
                };
                Content::Object(fields.iter().map(pair).collect::<Result<_, _>>()?)
            }
        };
        // As in a text: there it stands without quotes.
        let taken_for = value.as_number().and_then(|number| taken_for(&number.to_string()));
        Ok(Self { taken_for, ..Self::new(None, content) })
    }
}

fn weight(text: &str) -> usize {
    1 + text.len() / LONG
}

fn check(count: usize, depth: usize) -> Result<(), String> {
    if count > MAX_NODES {
        return Err(format!(
            "it has more than {MAX_NODES} words, lists and objects, counting what aliases stand for"
        ));
    }
    if depth > MAX_DEPTH {
        return Err(format!("it has more than {MAX_DEPTH} levels of lists and objects"));
    }
    Ok(())
}

/// The trees of all documents of a text, and what is wrong with those that have none.
pub(super) fn documents(text: &str) -> (Vec<Rc<Node>>, Vec<Fault>) {
    let options = parser_options! { flow_nesting_limit: MAX_DEPTH, block_nesting_limit: MAX_DEPTH };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let (mut trees, mut faults, mut count) = (Vec::new(), Vec::new(), 0);
    loop {
        let mut builder = Builder { count, ..Builder::default() };
        let built = builder.document(&mut parser);
        count = builder.count;
        match built {
            Ok(Some(tree)) => {
                trees.push(tree);
                continue;
            }
            Ok(None) => return (trees, faults),
            Err(fault) => faults.push(fault),
        }
        // What is broken ends with its document.
        if count > MAX_NODES || faults.len() == Fault::MAX || !parser.proceed_next_document().unwrap_or(false)
        {
            return (trees, faults);
        }
    }
}

/// Makes the tree of a document from its events.
#[derive(Default)]
struct Builder {
    /// Collections that are not complete.
    open: Vec<Open>,
    /// By their numbers, those that are complete.
    anchors: HashMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    count: usize,
}

struct Open {
    at: Place,
    anchor: usize,
    content: Content,
    /// Of an object, when its value is next.
    key: Option<Key>,
}

impl Builder {
    /// The next document; none where the text ends.
    fn document<'t>(&mut self, parser: &mut Parser<'t, StrInput<'t>>) -> Result<Option<Rc<Node>>, Fault> {
        for event in parser {
            let (event, span) = event.map_err(|error| no_yaml(&error))?;
            let at = place(span);
            let wrong = |message: String| Fault::new(Some(at), "", message);
            self.count = self.count.saturating_add(match &event {
                Event::Scalar(text, ..) => weight(text),
                Event::Alias(anchor) => self.anchors.get(anchor).map_or(1, |node| node.size),
                Event::SequenceStart(..) | Event::MappingStart(..) => 1,
                _ => 0,
            });
            check(self.count, self.open.len()).map_err(wrong)?;
            match event {
                Event::Scalar(text, style, anchor, tag) => {
                    let plain = style == ScalarStyle::Plain;
                    let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                    let taken_for = if plain && tag.is_none() { taken_for(&text) } else { None };
                    let content = if null { Content::Null } else { Content::Scalar(text.into_owned()) };
                    let node = Node { taken_for, ..Node::new(Some(at), content) };
                    self.add(at, anchor, Rc::new(node))?;
                }
                Event::SequenceStart(_, anchor, _) => self.open(at, anchor, Content::List(Vec::new())),
                Event::MappingStart(_, anchor, _) => self.open(at, anchor, Content::Object(Vec::new())),
                Event::SequenceEnd | Event::MappingEnd => {
                    if let Some(Open { at, anchor, content, .. }) = self.open.pop() {
                        self.add(at, anchor, Rc::new(Node::new(Some(at), content)))?;
                    }
                }
                Event::Alias(anchor) => {
                    let node = self.anchors.get(&anchor).cloned();
                    let node = node.ok_or_else(|| wrong("this alias stands for what it is in".to_owned()))?;
                    self.add(at, 0, node)?;
                }
                Event::DocumentEnd => {
                    let empty = || Rc::new(Node::new(Some(at), Content::Null));
                    return Ok(Some(self.root.take().unwrap_or_else(empty)));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn open(&mut self, at: Place, anchor: usize, content: Content) {
        self.open.push(Open { at, anchor, content, key: None });
    }

    /// Puts a complete node where it belongs.
    fn add(&mut self, at: Place, anchor: usize, node: Rc<Node>) -> Result<(), Fault> {
        let wrong = |message: String| Fault::new(Some(at), "", message);
        check(0, self.open.len() + node.depth).map_err(wrong)?;
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.content, open.key.take(), &node.content) {
            (Content::Object(pairs), Some(key), _) => pairs.push((key, node)),
            (Content::Object(_), None, Content::Scalar(text)) => {
                open.key = Some(Key { at: Some(at), text: text.clone() });
            }
            (Content::Object(_), None, _) => {
                return Err(wrong("a word is wanted before the colon".to_owned()));
            }
            (Content::List(items), ..) => items.push(node),
            (Content::Null | Content::Scalar(_), ..) => {}
        }
        Ok(())
    }
}

fn no_yaml(error: &ScanError) -> Fault {
    let marker = error.marker();
    Fault::new(
        Some(Place::new(marker.line(), marker.col())),
        "",
        format!("this is no YAML: {}", error.info()),
    )
}

fn place(span: Span) -> Place {
    Place::new(span.start.line(), span.start.col())
}
