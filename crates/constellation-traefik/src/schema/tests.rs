//! What labels become, and what is taken from elsewhere.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::{Field, HTTP_MIDDLEWARES, Kind, Labels, TCP_MIDDLEWARES, conforms, decode};

/// Labels below a name, as `path=value`.
struct Lines(BTreeMap<String, (String, String)>);

impl Lines {
    fn new(lines: &[&str]) -> Self {
        let split = lines.iter().map(|line| line.split_once('=').unwrap());
        let entry =
            |(path, text): (&str, &str)| (path.to_ascii_lowercase(), (path.to_owned(), text.to_owned()));
        Self(split.map(entry).collect())
    }
}

impl Labels for Lines {
    fn each(&self) -> impl Iterator<Item = (&str, &str, Vec<&str>)> {
        self.0
            .iter()
            .map(|(path, (written, text))| (path.as_str(), text.as_str(), written.split('.').collect()))
    }

    fn list(&self, path: &str) -> Vec<String> {
        let own: Option<Vec<String>> =
            self.0.get(path).map(|(_, text)| text.split(',').map(|it| it.trim().to_owned()).collect());
        let indexed =
            (0..10).filter_map(|index| self.0.get(&format!("{path}[{index}]"))).map(|(_, text)| text.clone());
        own.unwrap_or_default().into_iter().chain(indexed).collect()
    }
}

#[test]
fn each_kind_of_value_is_read_as_traefik_reads_it() {
    for (lines, expected) in [
        (
            &["basicAuth.users=a:1, b:2", "basicauth.REMOVEHEADER=T"][..],
            json!({"basicAuth": {"users": ["a:1", "b:2"], "removeHeader": true}}),
        ),
        (
            &["basicauth.users[0]=a:1", "basicauth.users[1]=b,2"],
            json!({"basicAuth": {"users": ["a:1", "b,2"]}}),
        ),
        (&["compress=true"], json!({"compress": {}})),
        (
            &["compress=true", "compress.minresponsebodybytes=10"],
            json!({"compress": {"minResponseBodyBytes": 10}}),
        ),
        (
            &["ratelimit.average=5", "ratelimit.period=2"],
            json!({"rateLimit": {"average": 5, "period": "2000ms"}}),
        ),
        (
            &["headers.customrequestheaders.X-Script-Name=test"],
            json!({"headers": {"customRequestHeaders": {"X-Script-Name": "test"}}}),
        ),
        (&["errors.statusrewrites.404=503"], json!({"errors": {"statusRewrites": {"404": 503}}})),
        (
            &["ipallowlist.ipstrategy=true", "ipallowlist.sourcerange=10.0.0.0/8"],
            json!({"ipAllowList": {"ipStrategy": {}, "sourceRange": ["10.0.0.0/8"]}}),
        ),
        (&["plugin.My-Plugin.Deep.Key=v"], json!({"plugin": {"My-Plugin": {"Deep": {"Key": "v"}}}})),
    ] {
        let made = decode(HTTP_MIDDLEWARES, &Lines::new(lines)).unwrap();
        assert_eq!(json!(made), expected, "{lines:?}");
        assert!(conforms(&json!(made), HTTP_MIDDLEWARES), "{lines:?}");
    }
}

#[test]
fn whatever_is_not_understood_whole_is_refused_with_its_reason() {
    for (line, reason) in [
        ("basicauth.user=a", "no field `user`"),
        ("nothing.x=1", "no field `nothing.x`"),
        ("basicauth=true", "no field"),
        ("basicauth.removeheader=yes", "neither true nor false"),
        ("ratelimit.average=many", "not a whole number"),
        ("ratelimit.period=soon", "not a duration"),
        ("headers.customrequestheaders=x", "no field"),
        ("compress.encodings[0].x=gzip", "no field"),
        ("plugin=x", "no field"),
        ("compress=x", "neither true nor false"),
    ] {
        let (_, why) = decode(HTTP_MIDDLEWARES, &Lines::new(&[line])).unwrap_err();
        assert!(why.contains(reason), "{line}: {why}");
    }
    let (_, why) = decode(HTTP_MIDDLEWARES, &Lines::new(&["plugin.x.a=1", "plugin.x.a.b=2"])).unwrap_err();
    assert!(why.contains("fields as well"), "{why}");
}

#[test]
fn what_another_agent_sends_must_be_of_the_same_form() {
    assert!(conforms(&json!({"inFlightConn": {"amount": 3}}), TCP_MIDDLEWARES));
    for wrong in [
        json!({"inFlightConn": {}}),
        json!({"inFlightConn": {"amount": "3"}}),
        json!({"inFlightConn": {"amount": 3, "more": 1}}),
        json!({"basicAuth": {"users": ["a"]}}),
        json!([]),
        json!("text"),
    ] {
        assert!(!conforms(&wrong, TCP_MIDDLEWARES), "{wrong}");
    }
    assert!(
        !conforms(&json!({"plugin": {"x": {}}}), HTTP_MIDDLEWARES),
        "an empty object takes the whole document down"
    );
    assert!(!conforms(&json!({"rateLimit": {"period": "soon"}}), HTTP_MIDDLEWARES));
}

fn value(kind: &'static Kind) -> BoxedStrategy<Vec<(String, String)>> {
    let plain = |text: &str| vec![(String::new(), text.to_owned())];
    match kind {
        Kind::Text | Kind::List => "[a-z/*]{1,8}".prop_map(move |text| vec![(String::new(), text)]).boxed(),
        Kind::Flag => prop_oneof![Just("true"), Just("F"), Just("1")].prop_map(plain).boxed(),
        Kind::Number => (0i64..500).prop_map(move |number| vec![(String::new(), number.to_string())]).boxed(),
        Kind::Duration => prop_oneof![Just("10s"), Just("5"), Just("1m30s")].prop_map(plain).boxed(),
        Kind::Map => "[A-Za-z-]{1,6}".prop_map(|key| vec![(format!(".{key}"), "v".to_owned())]).boxed(),
        Kind::Numbers => (400u16..600).prop_map(|key| vec![(format!(".{key}"), "500".to_owned())]).boxed(),
        Kind::Free => "[a-z]{1,5}".prop_map(|key| vec![(format!(".{key}.key"), "v".to_owned())]).boxed(),
        Kind::Struct(fields) | Kind::Switch(fields) => some(fields),
    }
}

/// One to three of these fields, with values.
fn some(fields: &'static [Field]) -> BoxedStrategy<Vec<(String, String)>> {
    proptest::sample::subsequence((0..fields.len()).collect::<Vec<_>>(), 1..=fields.len().min(3))
        .prop_flat_map(move |places| {
            let each = places.into_iter().map(|place| {
                let field = &fields[place];
                value(&field.kind).prop_map(move |lines| {
                    lines
                        .into_iter()
                        .map(|(path, text)| (format!(".{}{path}", field.name), text))
                        .collect::<Vec<_>>()
                })
            });
            each.collect::<Vec<_>>().prop_map(|lines| lines.concat())
        })
        .boxed()
}

proptest! {
    #[test]
    fn whatever_fields_are_written_the_value_is_one_that_traefik_knows(
        lines in (0..HTTP_MIDDLEWARES.len()).prop_flat_map(|place| {
            value(&HTTP_MIDDLEWARES[place].kind).prop_map(move |lines| {
                lines.into_iter().map(|(path, text)| format!("{}{path}={text}", HTTP_MIDDLEWARES[place].name)).collect::<Vec<_>>()
            })
        }),
    ) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let made = decode(HTTP_MIDDLEWARES, &Lines::new(&lines));
        prop_assert!(made.is_ok(), "{:?}: {:?}", lines, made);
        prop_assert!(conforms(&json!(made.unwrap()), HTTP_MIDDLEWARES), "{:?}", lines);
    }

    #[test]
    fn no_labels_make_the_reader_panic(lines in proptest::collection::vec(
        "(basicauth|headers|plugin|compress|chain|x)(\\[[0-9]{0,2}\\])?(\\.[a-zA-Z\\[\\]0-9]{0,9}){0,4}=.{0,12}", 0..6,
    )) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        if let Ok(made) = decode(HTTP_MIDDLEWARES, &Lines::new(&lines)) {
            prop_assert!(made.is_empty() || conforms(&json!(made), HTTP_MIDDLEWARES), "{:?} {:?}", lines, made);
        }
    }
}
