//! Builds the tree: `!` binds closest, then `&&`, then `||`.

use super::{
    Rule,
    error::{RuleError, RuleFault},
    lexer::{Token, fault_at, tokens},
    matcher::{Matcher, MatcherKind},
};

/// Reads a rule within bounds on its length and depth.
pub(super) fn parse(text: &str, bytes_max: usize, depth_max: usize) -> Result<Rule, RuleError> {
    if text.len() > bytes_max {
        return Err(fault_at(text, 0, RuleFault::TooLong));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0, depth_max };
    if *parser.peek() == Token::End {
        return Err(fault_at(text, 0, RuleFault::Empty));
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

    fn any(&mut self, depth: usize) -> Result<Rule, RuleError> {
        let mut rule = self.all(depth)?;
        while self.takes(&Token::Or) {
            rule = rule.or(self.all(depth)?);
        }
        Ok(rule)
    }

    fn all(&mut self, depth: usize) -> Result<Rule, RuleError> {
        let mut rule = self.one(depth)?;
        while self.takes(&Token::And) {
            rule = rule.and(self.one(depth)?);
        }
        Ok(rule)
    }

    fn one(&mut self, depth: usize) -> Result<Rule, RuleError> {
        if depth > self.depth_max {
            return Err(self.fault(self.byte(), RuleFault::TooDeep));
        }
        match *self.peek() {
            Token::Not => {
                self.next += 1;
                Ok(Rule::Not(Box::new(self.one(depth + 1)?)))
            }
            Token::Open => {
                self.next += 1;
                let rule = self.any(depth + 1)?;
                if self.takes(&Token::Close) { Ok(rule) } else { Err(self.unexpected("`)`, `&&` or `||`")) }
            }
            Token::Name(name) => self.matcher(name),
            _ => Err(self.unexpected("a matcher such as Host(`app.example.org`)")),
        }
    }

    fn matcher(&mut self, name: &str) -> Result<Rule, RuleError> {
        let byte = self.byte();
        let Some(kind) = MatcherKind::named(name) else {
            return Err(self.fault(byte, RuleFault::UnknownMatcher { name: name.to_owned() }));
        };
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
        Matcher::checked(kind, arguments).map(Rule::Matcher).map_err(|fault| self.fault(byte, fault))
    }
}
