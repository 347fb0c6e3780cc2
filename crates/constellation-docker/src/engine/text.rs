//! What may stand in a path or a query of a request.
//!
//! The transport turns a path into a URI without asking and panics where it is none, so nothing that came from
//! outside reaches a path before it was looked at here.

use std::fmt::Write;

/// Whether the engine could have a container or network of this id or name: its own grammar for both.
pub(super) fn is_object_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        && text.len() <= 255
}

/// Whether it can be an image reference: `[registry[:port]/]name[:tag][@digest]`.
pub(super) fn is_image_reference(text: &str) -> bool {
    text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'/' | b':' | b'@'))
        && !text.split('/').any(|part| part.is_empty() || part == "." || part == "..")
        && text.len() <= 512
}

/// Splits a reference into what `fromImage` and `tag` take. Without either tag or digest it is `latest`: the engine
/// would otherwise pull every tag that there is.
pub(super) fn split_tag(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name, digest);
    }
    // A colon before the last slash belongs to the registry's port.
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

/// Writes a query string; everything but RFC 3986's unreserved characters is percent-encoded.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (index, (key, value)) in pairs.iter().enumerate() {
        out.push(if index == 0 { '?' } else { '&' });
        out.push_str(key);
        out.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    out.push(char::from(byte));
                }
                // Writing to a String cannot fail.
                other => write!(out, "%{other:02X}").unwrap_or_default(),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_could_leave_their_place_in_a_path_are_no_names() {
        for bad in ["", "..", "../images", "a/b", "a b", "a?x=1", "-a", "a\n", "ä", "%2e%2e"] {
            assert!(!is_object_name(bad), "{bad:?}");
        }
        for good in ["web", "stack_web.1", "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"]
        {
            assert!(is_object_name(good), "{good}");
        }
    }

    #[test]
    fn image_references_are_told_from_other_text() {
        for good in ["busybox", "ghcr.io/a/b:1.2", "localhost:5000/x@sha256:00ff", "a/b_c-d"] {
            assert!(is_image_reference(good), "{good}");
        }
        for bad in ["", "/etc", "a//b", "a/../b", "a b", "-x", "a?b"] {
            assert!(!is_image_reference(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_reference_without_a_tag_means_latest() {
        assert_eq!(split_tag("busybox"), ("busybox", "latest"));
        assert_eq!(split_tag("localhost:5000/x"), ("localhost:5000/x", "latest"));
        assert_eq!(split_tag("localhost:5000/x:2"), ("localhost:5000/x", "2"));
        assert_eq!(split_tag("x@sha256:ab"), ("x", "sha256:ab"));
    }

    proptest! {
        #[test]
        fn a_query_never_holds_what_would_end_it(value in ".*") {
            let text = query(&[("key", &value)]);
            prop_assert!(text.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert_eq!(text.matches(['?', '&', '#', '=']).count(), 2);
        }
    }
}
