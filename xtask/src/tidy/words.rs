//! Text that must not be in the repository: unfinished code, switched-off tests, paths of somebody's machine.

use super::finding::Finding;

/// This file has to spell them out.
const OWN: &str = "xtask/src/tidy/words.rs";

/// Found in Rust code as written, with what to do instead.
const IN_CODE: &[(&str, &str)] = &[
    ("todo!", "finish it, or return an error that says what is not supported"),
    ("unimplemented!", "finish it, or return an error that says what is not supported"),
    ("dbg!", "remove it, or log with tracing"),
    ("#[ignore", "a test that never runs proves nothing: put it behind a feature that a suite switches on"),
];

/// Found in any text where a path starts.
const MACHINE_PATHS: &[&str] = &["/work", "/root", "/home/"];

/// Definitions of services, and what they are compared with: there `/root` is a folder inside a container.
const INSIDE_CONTAINERS: &str = "bins/constellation-deploy/";

/// What a merge leaves where it could not decide; a line of `=======` alone may also be a heading's.
const MERGE_MARKERS: &[&str] = &["<<<<<<< ", ">>>>>>> "];

/// Looks at text files, given as path and text.
pub(crate) fn check<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in files {
        if path == OWN {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            let place = || format!("{path}:{number}");
            if MERGE_MARKERS.iter().any(|marker| line.starts_with(marker)) {
                let text = "a merge was left undecided here: keep what is right of both sides";
                findings.push(Finding::error(place(), text.to_owned()));
            }
            if path.ends_with(".rs") {
                for (word, advice) in IN_CODE {
                    if contains_word(line, word) {
                        findings.push(Finding::error(place(), format!("`{word}`: {advice}")));
                    }
                }
            }
            for machine_path in MACHINE_PATHS {
                let is_inside = *machine_path == "/root" && path.starts_with(INSIDE_CONTAINERS);
                if !is_inside && contains_path(line, machine_path) {
                    let text = format!(
                        "`{machine_path}` is a path of one machine: use a relative path or a variable"
                    );
                    findings.push(Finding::error(place(), text));
                }
            }
        }
    }
    findings
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// `word` where no longer name ends in it: `todo!` but not `my_todo!`.
fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(is_word))
}

/// `path` where a path starts and where that name ends: neither `net/work` nor `/workers`.
fn contains_path(line: &str, path: &str) -> bool {
    let is_path = |character: char| is_word(character) || "./-}$~*".contains(character);
    line.match_indices(path).any(|(at, _)| {
        let starts = !line[..at].ends_with(is_path);
        let ends = path.ends_with('/') || !line[at + path.len()..].starts_with(|c| is_word(c) || c == '-');
        starts && ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(path: &str, text: &str) -> Vec<String> {
        check([(path, text)]).into_iter().map(|finding| finding.place).collect()
    }

    #[test]
    fn unfinished_code_is_found_with_its_line() {
        assert_eq!(places("a.rs", "fn a() {\n    todo!()\n}\nfn b() { dbg!(1); }"), ["a.rs:2", "a.rs:4"]);
        assert_eq!(places("a.rs", "#[ignore = \"slow\"]"), ["a.rs:1"]);
    }

    #[test]
    fn prose_and_lint_names_are_not_code() {
        assert_eq!(places("a.md", "say todo! out loud"), [""; 0]);
        assert_eq!(places("a.rs", "#![warn(clippy::dbg_macro)] // my_todo!"), [""; 0]);
    }

    #[test]
    fn paths_of_a_machine_are_found_in_any_text() {
        assert_eq!(places("a.md", "see /work/shared"), ["a.md:1"]);
        assert_eq!(places("a.sh", "cd \"/root\""), ["a.sh:1"]);
        assert_eq!(places("bins/constellation-deploy/src/catalogue/a.rs", "/root/.config"), [""; 0]);
        assert_eq!(
            places("bins/constellation-deploy/src/catalogue/a.rs", "/work"),
            ["bins/constellation-deploy/src/catalogue/a.rs:1"]
        );
        assert_eq!(places("a.rs", "\"/home/me/x\""), ["a.rs:1"]);
    }

    #[test]
    fn a_merge_left_undecided_is_found_in_any_text() {
        let text = "| a |\n<<<<<<< HEAD\n| b |\n=======\n| c |\n>>>>>>> 0123abc (Say c)\n";
        assert_eq!(places("README.md", text), ["README.md:2", "README.md:6"]);
        assert_eq!(places("a.md", "a <<<<<<< b\n\nHeading\n======="), [""; 0]);
    }

    #[test]
    fn other_paths_that_look_alike_are_fine() {
        assert_eq!(places("a.md", "net/work, /workers, crates/root, https://example.org/home/x"), [""; 0]);
    }
}
