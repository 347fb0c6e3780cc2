//! What Traefik 3.7 knows of middlewares: each field with its kind, as data, and values that are made and checked by it.
//!
//! Traefik refuses a whole document for one field that it does not know or one value of another kind, so nothing gets into a
//! document but through here: labels are read by it, and what other nodes send is checked against it.

mod http;
mod tcp;
mod value;

pub(crate) use self::{
    http::MIDDLEWARES as HTTP_MIDDLEWARES,
    tcp::MIDDLEWARES as TCP_MIDDLEWARES,
    value::{Labels, Wrong, conforms, decode},
};

/// A field of Traefik's configuration.
#[derive(Debug)]
pub(crate) struct Field {
    /// In Traefik's own spelling. Labels may have it in any case.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// What a field holds.
#[derive(Debug)]
pub(crate) enum Kind {
    Text,
    Flag,
    Number,
    /// Go's duration; a label may also give seconds.
    Duration,
    /// Texts, in one label with commas or in several with an index.
    List,
    /// Texts by names that the user chooses.
    Map,
    /// Numbers by such names.
    Numbers,
    Struct(&'static [Field]),
    /// A structure that may be empty: `compress=true` says that it is there.
    Switch(&'static [Field]),
    /// Whatever a plugin wants.
    Free,
}

const fn text(name: &'static str) -> Field {
    Field { name, kind: Kind::Text }
}

const fn flag(name: &'static str) -> Field {
    Field { name, kind: Kind::Flag }
}

const fn number(name: &'static str) -> Field {
    Field { name, kind: Kind::Number }
}

const fn duration(name: &'static str) -> Field {
    Field { name, kind: Kind::Duration }
}

const fn list(name: &'static str) -> Field {
    Field { name, kind: Kind::List }
}

const fn map(name: &'static str) -> Field {
    Field { name, kind: Kind::Map }
}

const fn of(name: &'static str, fields: &'static [Field]) -> Field {
    Field { name, kind: Kind::Struct(fields) }
}

const fn switch(name: &'static str, fields: &'static [Field]) -> Field {
    Field { name, kind: Kind::Switch(fields) }
}

#[cfg(test)]
mod tests;
