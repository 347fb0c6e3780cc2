//! Builds the tree: `!` binds closest, then `&&`, then `||`.

use super::{
    Tree,
    error::{RuleError, RuleFault},
    lexer::{Token, fault_at, tokens},
    matcher::{Matcher, MatcherKind},
};

/// What a kind of rule is made of.
pub trait Condition: Sized {
    /// What it looks at.
    type Kind: Copy;
    /// What stands where one is due.
    const SUCH_AS: &'static str;

    /// The kind of this name.
    fn kind(name: &str) -> Result<Self::Kind, RuleFault>;

    /// The condition with these values, if it takes them.
    fn checked(kind: Self::Kind, arguments: Vec<String>) -> Result<Self, RuleFault>;
}

impl Condition for Matcher {
    type Kind = MatcherKind;
    const SUCH_AS: &'static str = "a matcher such as Host(`app.example.org`)";

    fn kind(name: &str) -> Result<MatcherKind, RuleFault> {
        MatcherKind::named(name)
    }

    fn checked(kind: MatcherKind, arguments: Vec<String>) -> Result<Self, RuleFault> {
        Self::checked(kind, arguments)
    }
}

/// Reads a rule within bounds on its length and depth.
pub(super) fn parse<M: Condition>(
    text: &str,
    bytes_max: usize,
    depth_max: usize,
) -> Result<Tree<M>, RuleError> {
    if text.len() > bytes_max {
        return Err(fault_at(text, 0, RuleFault::TooLong));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0, depth_max };
    if *parser.peek() == Token::End {
        return Err(fault_at(text, 0, RuleFault::Empty { due: M::SUCH_AS }));
    }
    let rule = parser.any(0)?;
    match parser.peek() {
        Token::End => Ok(rule),
        _ => Err(parser.unexpected("`&&`, `||` or the end")),
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<(usize, Token<'t>)>,
    next: usize,
    depth_max: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> &Token<'t> {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn takes(&mut self, token: &Token<'_>) -> bool {
        let taken = self.peek() == token;
        self.next += usize::from(taken);
        taken
    }

    /// The byte at which the next piece begins.
    fn byte(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |(byte, _)| *byte)
    }

    fn fault(&self, byte: usize, fault: RuleFault) -> RuleError {
        fault_at(self.text, byte, fault)
    }

    fn unexpected(&self, expected: &'static str) -> RuleError {
        self.fault(self.byte(), RuleFault::Expected { expected, found: self.peek().describe() })
    }

    fn any<M: Condition>(&mut self, depth: usize) -> Result<Tree<M>, RuleError> {
        let mut rule = self.all(depth)?;
        while self.takes(&Token::Or) {
            rule = rule.or(self.all(depth)?);
        }
        Ok(rule)
    }

    fn all<M: Condition>(&mut self, depth: usize) -> Result<Tree<M>, RuleError> {
        let mut rule = self.one(depth)?;
        while self.takes(&Token::And) {
            rule = rule.and(self.one(depth)?);
        }
        Ok(rule)
    }

    fn one<M: Condition>(&mut self, depth: usize) -> Result<Tree<M>, RuleError> {
        if depth > self.depth_max {
            return Err(self.fault(self.byte(), RuleFault::TooDeep));
        }
        match *self.peek() {
            Token::Not => {
                self.next += 1;
                Ok(Tree::Not(Box::new(self.one(depth + 1)?)))
            }
            Token::Open => {
                self.next += 1;
                let rule = self.any(depth + 1)?;
                if self.takes(&Token::Close) { Ok(rule) } else { Err(self.unexpected("`)`, `&&` or `||`")) }
            }
            Token::Name(name) => self.matcher(name),
            _ => Err(self.unexpected(M::SUCH_AS)),
        }
    }

    fn matcher<M: Condition>(&mut self, name: &str) -> Result<Tree<M>, RuleError> {
        let byte = self.byte();
        let kind = M::kind(name).map_err(|fault| self.fault(byte, fault))?;
        self.next += 1;
        if !self.takes(&Token::Open) {
            return Err(self.unexpected("`(`"));
        }
        let mut arguments = Vec::with_capacity(2);
        while !self.takes(&Token::Close) {
            let Token::Value(value) = self.peek() else {
                return Err(self.unexpected("a value in backticks"));
            };
            arguments.push(value.clone().into_owned());
            self.next += 1;
            if !self.takes(&Token::Comma) && *self.peek() != Token::Close {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
        M::checked(kind, arguments).map(Tree::Matcher).map_err(|fault| self.fault(byte, fault))
    }
}
