use proptest::prelude::*;

use super::*;

fn canonical(text: &str) -> String {
    text.parse::<Rule>().unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
}

fn refused(text: &str) -> String {
    text.parse::<Rule>().expect_err(text).to_string()
}

#[test]
fn rules_as_people_write_them_are_understood() {
    for (text, printed) in [
        ("Host(`a.example.org`)", "Host(`a.example.org`)"),
        ("  host( \"A.Example.ORG\" ) ", "Host(`a.example.org`)"),
        ("HOST(`a`)||Host(`b`)", "Host(`a`) || Host(`b`)"),
        ("Hostregexp(`^.+\\.example\\.org$`)", "HostRegexp(`^.+\\.example\\.org$`)"),
        ("Host(`a`) && (PathPrefix(`/x`) || Path(`/y`))", "Host(`a`) && (PathPrefix(`/x`) || Path(`/y`))"),
        ("Host(`a`) && PathPrefix(`/x`) || Path(`/y`)", "Host(`a`) && PathPrefix(`/x`) || Path(`/y`)"),
        ("((Host(`a`) && Host(`b`)) && Host(`c`))", "Host(`a`) && Host(`b`) && Host(`c`)"),
        ("!(Host(`a`) || Method(`get`))", "!(Host(`a`) || Method(`GET`))"),
        ("!!Host(`a`)", "!!Host(`a`)"),
        (
            "Header(`X-A`, `b`) && HeaderRegexp(`X-A`,`^b`,)",
            "Header(`X-A`, `b`) && HeaderRegexp(`X-A`, `^b`)",
        ),
        (
            "Query(`a`) && Query(`a`, `1`) && QueryRegexp(`a`, `^1`)",
            "Query(`a`) && Query(`a`, `1`) && QueryRegexp(`a`, `^1`)",
        ),
        ("ClientIP(`192.0.2.0/24`) || ClientIP(`::1`)", "ClientIP(`192.0.2.0/24`) || ClientIP(`::1`)"),
        ("Path(\"/a`b\\n\\\"\")", "Path(\"/a`b\\u000a\\\"\")"),
        ("Path(\"/\\x41\\101\\u00e4\\U0001F600\")", "Path(`/AAä😀`)"),
    ] {
        assert_eq!(canonical(text), printed);
    }
}

#[test]
fn a_refusal_says_where_and_what_would_be_right() {
    for (text, expected) in [
        ("", "at character 1: the rule is empty where a matcher such as Host(`app.example.org`) is due"),
        ("Host(`a`", "at character 9: found the end where `,` or `)` is due"),
        ("Host(`a`) Host(`b`)", "at character 11: found `Host` where `&&`, `||` or the end is due"),
        ("Host(a)", "at character 6: found `a` where a value in backticks is due"),
        ("Host(`a)", "at character 6: the value that begins here does not end; close it with `"),
        (
            "Host(`a`, `b`)",
            "at character 1: Host takes one value (join several matchers by `||`), here are 2",
        ),
        ("Header(`a`)", "at character 1: Header takes two values, a header and what it must be, here are 1"),
        (
            "Host(`a`) && PathPrefix(`x`)",
            "at character 14: PathPrefix cannot have the value `x`: a path begins with `/`",
        ),
        ("Host(`a`) & Host(`b`)", "at character 11: `&` has no meaning here"),
        ("(Host(`a`)", "at character 11: found the end where `)`, `&&` or `||` is due"),
        (
            "Headers(`a`, `b`)",
            "at character 1: there is no matcher `Headers`; the matchers are ClientIP, Host,",
        ),
        ("Host(`ä`)", "only ASCII is allowed"),
        ("Host(`https://a`)", "without scheme and path"),
        ("ClientIP(`192.0.2.0/33`)", "an address or a range is due"),
        ("PathRegexp(`(?=a)`)", "look-around"),
        ("PathRegexp(`(a)\\1`)", "backreferences"),
        ("PathRegexp(`[a&&b]`)", "Go has no set operations in classes"),
        ("PathRegexp(`a{1001}`)", "Go has no repetition of more than 1000"),
        ("PathRegexp(`(?x)a`)", "Go has no flags but i, m, s and U"),
        ("Path(\"/\\q\")", "at character 8: this escape is none"),
    ] {
        let error = refused(text);
        assert!(error.contains(expected), "{text}\n  {error}");
    }
}

#[test]
fn what_is_too_long_or_too_deep_is_refused_without_effort() {
    assert!(refused(&"!".repeat(4000)).contains("more than 32 deep"));
    assert!(refused(&"(".repeat(4000)).contains("more than 32 deep"));
    assert!(refused(&"x".repeat(5000)).contains("longer than 4096 bytes"));
    let wide = vec!["Path(`/`)"; 300].join("&&");
    assert_eq!(canonical(&wide).matches("&&").count(), 299);
}

fn any_matcher() -> impl Strategy<Value = Rule> {
    let texts = prop_oneof!["[a-z.]{1,12}", "/[ -~]{0,10}", "/\\PC{0,6}"];
    let kind = prop_oneof![
        Just(MatcherKind::Host),
        Just(MatcherKind::Path),
        Just(MatcherKind::PathPrefix),
        Just(MatcherKind::Query),
        Just(MatcherKind::Header),
        Just(MatcherKind::Method),
        Just(MatcherKind::PathRegexp),
    ];
    (kind, texts, "[ -~\n\t`\"]{0,8}").prop_filter_map(
        "a value that Traefik takes",
        |(kind, first, second)| {
            let arguments = match kind {
                MatcherKind::Header => vec!["X-Header".to_owned(), second],
                MatcherKind::Method => vec!["GET".to_owned()],
                MatcherKind::Query => vec![first, second],
                _ => vec![first],
            };
            Matcher::checked(kind, arguments).ok().map(Rule::Matcher)
        },
    )
}

fn any_rule() -> impl Strategy<Value = Rule> {
    any_matcher().prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|rule| Rule::Not(Box::new(rule))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
            (inner.clone(), inner).prop_map(|(a, b)| a.or(b)),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_is_parsed_back_to_the_same_rule(rule in any_rule()) {
        let printed = rule.to_string();
        prop_assert_eq!(printed.parse::<Rule>(), Ok(rule), "{}", printed);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,200}") {
        let _ = text.parse::<Rule>();
    }

    #[test]
    fn no_text_that_looks_like_a_rule_makes_the_parser_panic(
        pieces in proptest::collection::vec(prop_oneof![
            Just("Host"), Just("PathRegexp"), Just("("), Just(")"), Just("!"), Just("&&"), Just("||"), Just(","),
            Just("`a`"), Just("\"\\"), Just("\""), Just("`"), Just("`(?i`"), Just(" "), Just("ä"),
        ], 0..40),
    ) {
        if let Ok(rule) = pieces.concat().parse::<Rule>() {
            prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule));
        }
    }
}
