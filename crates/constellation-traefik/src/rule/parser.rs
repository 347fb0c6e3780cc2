//! Builds the tree: `!` binds closest, then `&&`, then `||`.

use super::{
    Rule,
    error::{RuleError, RuleFault},
    lexer::{Token, tokens},
    matcher::{Matcher, MatcherKind},
};

/// Reads a rule within bounds on its length and depth.
pub(super) fn parse(text: &str, bytes_max: usize, depth_max: usize) -> Result<Rule, RuleError> {
    let whole = |fault| RuleError { position: 1, fault };
    if text.len() > bytes_max {
        return Err(whole(RuleFault::TooLong));
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth_max };
    if *parser.peek() == Token::End {
        return Err(whole(RuleFault::Empty));
    }
    let rule = parser.any(0)?;
    match parser.peek() {
        Token::End => Ok(rule),
        _ => Err(parser.unexpected("`&&`, `||` or the end")),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth_max: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn takes(&mut self, token: &Token) -> bool {
        let taken = self.peek() == token;
        self.next += usize::from(taken);
        taken
    }

    /// Where the next piece begins.
    fn position(&self) -> usize {
        let last = self.tokens.last().map_or(1, |(position, _)| *position);
        self.tokens.get(self.next).map_or(last, |(position, _)| *position)
    }

    fn unexpected(&self, expected: &'static str) -> RuleError {
        let fault = RuleFault::Expected { expected, found: self.peek().describe() };
        RuleError { position: self.position(), fault }
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
        let position = self.position();
        if depth > self.depth_max {
            return Err(RuleError { position, fault: RuleFault::TooDeep });
        }
        match self.peek() {
            Token::Not => {
                self.next += 1;
                Ok(Rule::Not(Box::new(self.one(depth + 1)?)))
            }
            Token::Open => {
                self.next += 1;
                let rule = self.any(depth + 1)?;
                if self.takes(&Token::Close) { Ok(rule) } else { Err(self.unexpected("`)`, `&&` or `||`")) }
            }
            Token::Name(_) => self.matcher(position),
            _ => Err(self.unexpected("a matcher such as Host(`app.example.org`)")),
        }
    }

    fn matcher(&mut self, position: usize) -> Result<Rule, RuleError> {
        let Token::Name(name) = self.take() else { return Err(self.unexpected("a matcher")) };
        let Some(kind) = MatcherKind::named(&name) else {
            return Err(RuleError { position, fault: RuleFault::UnknownMatcher { name } });
        };
        if !self.takes(&Token::Open) {
            return Err(self.unexpected("`(`"));
        }
        let mut arguments = Vec::new();
        while !self.takes(&Token::Close) {
            let Token::Value(value) = self.peek().clone() else {
                return Err(self.unexpected("a value in backticks"));
            };
            self.next += 1;
            arguments.push(value);
            if !self.takes(&Token::Comma) && *self.peek() != Token::Close {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
        let matcher = Matcher::checked(kind, arguments).map_err(|fault| RuleError { position, fault })?;
        Ok(Rule::Matcher(matcher))
    }
}
