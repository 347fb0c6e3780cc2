//! YAML as an import needs it: a tree whose nodes know their lines, anchors and merge keys resolved, everything bounded.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::ImportError;

/// Far above any Compose file that people keep.
pub(super) const BYTES_MAX: usize = 256 << 10;
/// Deeper than Compose's schema by far.
const DEPTH_MAX: usize = 48;
/// What the file may amount to once aliases stand for what they repeat: ten lines can mean a billion.
const WEIGHT_MAX: usize = 4 << 20;
/// What a node counts beside its text.
const NODE_WEIGHT: usize = 16;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) value: Value,
    weight: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    /// Any word, number or text: Compose's own fields say what they want it to be.
    Text(String),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

/// One line of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) node: Rc<Node>,
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The entries, of a mapping and of nothing.
    pub(super) fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            Value::Null => Some(&[]),
            _ => None,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let entry = self.entries()?.iter().find(|entry| entry.key == key)?;
        Some(&entry.node)
    }

    /// What the kind of value is called in a message.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// The first document of a file, and what was left aside on the way.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) root: Rc<Node>,
    /// Line and text.
    pub(super) asides: Vec<(usize, String)>,
}

/// Reads the first document.
pub(super) fn read(text: &str) -> Result<Document, ImportError> {
    if text.len() > BYTES_MAX {
        return Err(ImportError::TooLarge { bytes: text.len(), limit: BYTES_MAX });
    }
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| ImportError::Malformed {
            line: error.marker().line(),
            what: error.info().to_owned(),
        })?;
        if reader.take(event, span)? {
            break;
        }
    }
    let root = reader.root.ok_or(ImportError::NotCompose { what: "it is empty".to_owned() })?;
    Ok(Document { root, asides: reader.asides })
}

/// A list or mapping that has begun and not ended.
struct Open {
    line: usize,
    anchor: usize,
    weight: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Rc<Node>>),
    Map { entries: Vec<Entry>, names: BTreeSet<String>, key: Option<(String, usize)>, merged: Vec<Rc<Node>> },
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    weight: usize,
    asides: Vec<(usize, String)>,
}

impl Reader {
    /// Whether that was all.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<bool, ImportError> {
        let line = span.start.line();
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) if self.root.is_some() => {
                self.asides.push((line, "a second document begins here: only the first is read".to_owned()));
                return Ok(true);
            }
            Event::DocumentStart(_) => {}
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| malformed(line, "an alias refers to what it is part of"))?;
                self.place(node, line)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.tag(tag.is_some_and(|tag| !tag.is_yaml_core_schema()), line);
                let is_null = style == ScalarStyle::Plain && is_null(&text);
                let weight = NODE_WEIGHT + text.len();
                let value = if is_null { Value::Null } else { Value::Text(text.into_owned()) };
                self.finish(Node { line, value, weight }, anchor)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.tag(tag.is_some_and(|tag| !tag.is_yaml_core_schema()), line);
                self.begin(line, anchor, Inside::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.tag(tag.is_some_and(|tag| !tag.is_yaml_core_schema()), line);
                let (entries, names, merged) = (Vec::new(), BTreeSet::new(), Vec::new());
                self.begin(line, anchor, Inside::Map { entries, names, key: None, merged })?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end()?,
        }
        Ok(false)
    }

    /// `!reset` and `!override` speak of other files.
    fn tag(&mut self, own: bool, line: usize) {
        if own {
            self.asides
                .push((line, "a tag is left out: tags say how several files are merged into one".to_owned()));
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, inside: Inside) -> Result<(), ImportError> {
        if self.open.len() >= DEPTH_MAX {
            return Err(malformed(line, "lists and mappings stand too deep in one another"));
        }
        self.open.push(Open { line, anchor, weight: NODE_WEIGHT, inside });
        Ok(())
    }

    fn end(&mut self) -> Result<(), ImportError> {
        // The parser pairs beginnings with ends.
        let Some(open) = self.open.pop() else { return Ok(()) };
        let Open { line, anchor, weight, inside } = open;
        let value = match inside {
            Inside::List(items) => Value::List(items),
            Inside::Map { mut entries, mut names, merged, .. } => {
                for node in merged {
                    merge(&mut entries, &mut names, &node, line)?;
                }
                Value::Map(entries)
            }
        };
        self.finish(Node { line, value, weight }, anchor)
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), ImportError> {
        let line = node.line;
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.place(node, line)
    }

    /// Puts a whole node where it belongs. An alias arrives here once for each use.
    fn place(&mut self, node: Rc<Node>, line: usize) -> Result<(), ImportError> {
        self.weight = self.weight.saturating_add(node.weight);
        if self.weight > WEIGHT_MAX {
            return Err(malformed(line, "its aliases repeat more than a Compose file has to say"));
        }
        let Some(open) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return Ok(());
        };
        open.weight = open.weight.saturating_add(node.weight);
        match &mut open.inside {
            Inside::List(items) => items.push(node),
            Inside::Map { entries, names, key, merged } => match key.take() {
                None => {
                    let name = match &node.value {
                        Value::Text(text) => text.clone(),
                        Value::Null => String::new(),
                        _ => return Err(malformed(line, "a list or mapping cannot be a key")),
                    };
                    *key = Some((name, line));
                }
                Some((name, _)) if name == "<<" => match &node.value {
                    Value::List(items) => merged.extend(items.iter().cloned()),
                    _ => merged.push(node),
                },
                Some((name, at)) => {
                    if !names.insert(name.clone()) {
                        return Err(malformed(at, &format!("`{}` stands there twice", name.escape_debug())));
                    }
                    entries.push(Entry { key: name, line: at, node });
                }
            },
        }
        Ok(())
    }
}

/// What stands in the mapping itself goes before what is merged into it.
fn merge(
    entries: &mut Vec<Entry>,
    names: &mut BTreeSet<String>,
    from: &Node,
    line: usize,
) -> Result<(), ImportError> {
    let Value::Map(more) = &from.value else {
        return Err(malformed(line, "`<<` merges mappings, and this is none"));
    };
    for entry in more {
        if names.insert(entry.key.clone()) {
            entries.push(entry.clone());
        }
    }
    Ok(())
}

fn malformed(line: usize, what: &str) -> ImportError {
    ImportError::Malformed { line, what: what.to_owned() }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(text: &str) -> Rc<Node> {
        read(text).unwrap().root
    }

    #[test]
    fn every_node_knows_its_line() {
        let root = root("# head\na:\n  - x\n  - y: 1\n");
        assert_eq!(root.entries().unwrap()[0].line, 2);
        let Value::List(items) = &root.get("a").unwrap().value else { panic!("{root:?}") };
        assert_eq!((items[0].line, items[1].get("y").unwrap().line), (3, 4));
    }

    #[test]
    fn merge_keys_give_what_is_not_said() {
        let root = root("base: &b {a: 1, b: 2}\nmore: &m {c: 3, a: 9}\nuse:\n  <<: [*b, *m]\n  b: 5\n");
        let text = |key| root.get("use").unwrap().get(key).unwrap().text().unwrap().to_owned();
        assert_eq!([text("a"), text("b"), text("c")], ["1", "5", "3"]);
    }

    #[test]
    fn a_few_lines_that_stand_for_a_billion_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
        }
        let error = read(&text).unwrap_err();
        assert!(error.to_string().contains("aliases repeat"), "{error}");
    }

    #[test]
    fn what_is_no_tree_of_reasonable_size_is_refused_with_its_line() {
        for (text, words) in [
            ("a: 1\na: 2\n", "line 2: `a` stands there twice"),
            ("a: &a [*a]\n", "refers to what it is part of"),
            ("[a]: 1\n", "cannot be a key"),
            ("x: {<<: 3}\n", "merges mappings"),
            ("a: 'b\n", "line"),
            ("", "empty"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text:?}: {error}");
        }
        assert!(read(&"[".repeat(200)).is_err());
        assert!(read(&"a: 1\n".repeat(100_000)).unwrap_err().to_string().contains("bytes"));
    }

    #[test]
    fn only_the_first_document_is_read_and_that_is_said() {
        let document = read("a: 1\n---\nb: 2\n").unwrap();
        assert!(document.root.get("b").is_none());
        assert_eq!(document.asides.len(), 1);
    }
}
