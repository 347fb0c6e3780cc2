//! Whether Go's `regexp` would compile an expression.
//!
//! `regex-syntax` is the nearest relative: the same family (no look-around, no backreferences). What it knows and Go
//! does not is refused here as well.

use regex_syntax::{
    ast::{
        self, AssertionKind, Ast, Flag, FlagsItemKind, HexLiteralKind, LiteralKind, RepetitionRange, Visitor,
    },
    hir::translate::Translator,
};

/// The largest count of a repetition in Go.
const REPEAT_MAX: u32 = 1000;

pub(super) fn check(text: &str) -> Result<(), String> {
    let tree = ast::parse::Parser::new().parse(text).map_err(|error| cause(error.kind()))?;
    ast::visit(&tree, OnlyInRust)?;
    Translator::new().translate(text, &tree).map_err(|error| cause(error.kind()))?;
    Ok(())
}

fn cause(kind: &impl std::fmt::Display) -> String {
    format!("it is not a regular expression that Traefik can use: {kind}")
}

struct OnlyInRust;

impl OnlyInRust {
    fn refuse(what: &str) -> Result<(), String> {
        Err(format!("it is not a regular expression that Traefik can use: Go has no {what}"))
    }

    fn literal(literal: &ast::Literal) -> Result<(), String> {
        match &literal.kind {
            LiteralKind::HexFixed(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong)
            | LiteralKind::HexBrace(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong) => {
                Self::refuse("`\\u`; write `\\x{...}`")
            }
            _ => Ok(()),
        }
    }

    fn flags(flags: &ast::Flags) -> Result<(), String> {
        for item in &flags.items {
            if let FlagsItemKind::Flag(Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace) = item.kind {
                return Self::refuse("flags but i, m, s and U");
            }
        }
        Ok(())
    }
}

impl Visitor for OnlyInRust {
    type Output = ();
    type Err = String;

    fn finish(self) -> Result<(), String> {
        Ok(())
    }

    fn visit_pre(&mut self, tree: &Ast) -> Result<(), String> {
        match tree {
            Ast::Flags(set) => Self::flags(&set.flags),
            Ast::Group(group) => group.flags().map_or(Ok(()), Self::flags),
            Ast::Literal(literal) => Self::literal(literal),
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::WordBoundaryStart
                | AssertionKind::WordBoundaryEnd
                | AssertionKind::WordBoundaryStartAngle
                | AssertionKind::WordBoundaryEndAngle
                | AssertionKind::WordBoundaryStartHalf
                | AssertionKind::WordBoundaryEndHalf => Self::refuse("word boundaries but `\\b` and `\\B`"),
                _ => Ok(()),
            },
            Ast::Repetition(repetition) => match &repetition.op.kind {
                ast::RepetitionKind::Range(
                    RepetitionRange::Exactly(most)
                    | RepetitionRange::AtLeast(most)
                    | RepetitionRange::Bounded(_, most),
                ) if *most > REPEAT_MAX => Self::refuse("repetition of more than 1000"),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn visit_class_set_item_pre(&mut self, item: &ast::ClassSetItem) -> Result<(), String> {
        match item {
            ast::ClassSetItem::Bracketed(_) => Self::refuse("classes within classes"),
            ast::ClassSetItem::Literal(literal) => Self::literal(literal),
            _ => Ok(()),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ast::ClassSetBinaryOp) -> Result<(), String> {
        Self::refuse("set operations in classes")
    }
}
