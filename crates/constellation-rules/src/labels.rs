//! Rules about labels: which containers take part at all, as Traefik's `constraints` say it.

use std::{collections::BTreeMap, fmt};

use regex::{Regex, RegexBuilder};

use super::{Tree, error::RuleFault, expression, matcher::value, parser::Condition};

/// The most memory that one pattern may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Which sets of labels are meant.
pub type LabelRule = Tree<LabelMatcher>;

/// What a matcher does with a label's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelKind {
    /// It is this.
    Label,
    /// An expression matches somewhere in it.
    LabelRegex,
}

impl LabelKind {
    const ALL: [Self; 2] = [Self::Label, Self::LabelRegex];

    /// Its name in a rule.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Label => "Label",
            Self::LabelRegex => "LabelRegex",
        }
    }
}

/// One condition on a label. Its expression is compiled where it is read: a rule is asked of every container.
#[derive(Clone, Debug)]
pub struct LabelMatcher {
    name: String,
    wanted: Wanted,
}

#[derive(Clone, Debug)]
enum Wanted {
    Value(String),
    Like(Regex),
}

impl LabelMatcher {
    fn parts(&self) -> (LabelKind, &str, &str) {
        match &self.wanted {
            Wanted::Value(value) => (LabelKind::Label, &self.name, value),
            Wanted::Like(like) => (LabelKind::LabelRegex, &self.name, like.as_str()),
        }
    }

    fn admits(&self, labels: &BTreeMap<String, String>) -> bool {
        // To Traefik a label that is not there is empty, so that `!Label(..., ``)` demands one.
        let found = labels.get(&self.name).map_or("", String::as_str);
        match &self.wanted {
            Wanted::Value(value) => found == value,
            Wanted::Like(like) => like.is_match(found),
        }
    }
}

impl PartialEq for LabelMatcher {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for LabelMatcher {}

impl Condition for LabelMatcher {
    type Kind = LabelKind;
    const SUCH_AS: &'static str = "a matcher such as Label(`tier`, `web`)";

    /// In this spelling alone, as Traefik has it.
    fn kind(name: &str) -> Result<LabelKind, RuleFault> {
        let known = LabelKind::ALL.into_iter().find(|kind| kind.as_str() == name);
        known.ok_or_else(|| RuleFault::unknown(name, LabelKind::ALL.map(LabelKind::as_str)))
    }

    fn checked(kind: LabelKind, arguments: Vec<String>) -> Result<Self, RuleFault> {
        let matcher = kind.as_str();
        let [name, wanted] = <[String; 2]>::try_from(arguments).map_err(|given| RuleFault::Arity {
            matcher,
            expected: "two values, a label and what it must be",
            found: given.len(),
        })?;
        let wanted = match kind {
            LabelKind::Label => Wanted::Value(wanted),
            LabelKind::LabelRegex => {
                let fault = |reason| RuleFault::value(matcher, &wanted, reason);
                expression::check(&wanted).map_err(fault)?;
                let built = RegexBuilder::new(&wanted).size_limit(PATTERN_BYTES_MAX).build();
                Wanted::Like(built.map_err(|error| fault(error.to_string()))?)
            }
        };
        Ok(Self { name, wanted })
    }
}

impl fmt::Display for LabelMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name, wanted) = self.parts();
        f.write_str(kind.as_str())?;
        f.write_str("(")?;
        value(f, name)?;
        f.write_str(", ")?;
        value(f, wanted)?;
        f.write_str(")")
    }
}

impl LabelRule {
    /// Whether a container with these labels takes part.
    pub fn admit(&self, labels: &BTreeMap<String, String>) -> bool {
        self.holds(&|matcher| matcher.admits(labels))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn admits(rule: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        rule.parse::<LabelRule>().unwrap_or_else(|error| panic!("{rule}: {error}")).admit(&labels)
    }

    #[test]
    fn labels_are_compared_whole_and_patterns_match_anywhere() {
        let web = [("tier", "web"), ("name", "shop-1")];
        for (rule, admitted) in [
            ("Label(`tier`,`web`)", true),
            ("Label(`tier`, \"we\")", false),
            // What is not there is empty, as Traefik 3.7.15 has it.
            ("Label(`other`,``)", true),
            ("!LabelRegex(`other`,`^$`)", false),
            ("Label(`other`,`web`)", false),
            ("LabelRegex(`name`,`op-[0-9]`)", true),
            ("LabelRegex(`name`,`^op`)", false),
            ("!Label(`tier`,`web`)", false),
            ("! Label(`tier`,`db`) && Label(`name`,`shop-1`)", true),
            // `&&` binds closer.
            ("Label(`tier`,`web`) || Label(`a`,`b`) && Label(`c`,`d`)", true),
            ("(Label(`tier`,`web`) || Label(`a`,`b`)) && Label(`c`,`d`)", false),
            ("!(Label(`a`,`b`) || Label(`c`,`d`))", true),
        ] {
            assert_eq!(admits(rule, &web), admitted, "{rule}");
        }
    }

    #[test]
    fn a_rule_about_labels_that_is_none_is_refused_with_what_would_be_right() {
        for (bad, reason) in [
            ("", "at character 1: the rule is empty where a matcher such as Label(`tier`, `web`) is due"),
            ("Label(`a`)", "at character 1: Label takes two values, a label and what it must be, here are 1"),
            ("Label(`a`,`b`,`c`)", "here are 3"),
            ("Label(`a`,`b`", "at character 14: found the end where `,` or `)` is due"),
            ("Label(a,b)", "at character 7: found `a` where a value in backticks is due"),
            ("Label(`a`,`b`) &&", "found the end where a matcher such as Label(`tier`, `web`) is due"),
            ("Label(`a`,`b`) Label(`a`,`b`)", "found `Label` where `&&`, `||` or the end is due"),
            ("LabelRegex(`a`,`(`)", "LabelRegex cannot have the value `(`"),
            ("LabelRegex(`a`,`((x{99}){99}){99}`)", "LabelRegex cannot have the value"),
            ("Tag(`a`)", "there is no matcher `Tag`; the matchers are Label, LabelRegex"),
            ("label(`a`,`b`)", "there is no matcher `label`"),
            ("Host(`a`)", "there is no matcher `Host`"),
            ("Label(`a`,\"\\q\")", "this escape is none"),
            ("Label(`a`,`b", "does not end"),
        ] {
            let error = bad.parse::<LabelRule>().expect_err(bad).to_string();
            assert!(error.contains(reason), "{bad}\n  {error}");
        }
        assert!(format!("{}Label(`a`,`b`)", "!".repeat(100)).parse::<LabelRule>().is_err());
    }

    #[test]
    fn two_spellings_of_one_rule_about_labels_are_one() {
        let rule = |text: &str| text.parse::<LabelRule>().unwrap();
        assert_eq!(rule("(Label(\"a\",`b`))"), rule(" Label(`a`, `b`) "));
        assert_ne!(rule("Label(`a`,`b`)"), rule("LabelRegex(`a`,`b`)"));
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reader_of_label_rules_panic_and_what_is_printed_is_read_as_the_same(
            text in "((!|\\(|\\)|&&|\\|\\||Label\\(`[a-z]{0,3}`,`[a-z\"]{0,3}`\\)|LabelRegex\\(`a`,`\\^b`\\)|[ -~]){0,6})",
        ) {
            if let Ok(rule) = text.parse::<LabelRule>() {
                prop_assert_eq!(rule.to_string().parse::<LabelRule>(), Ok(rule));
            }
        }
    }
}
