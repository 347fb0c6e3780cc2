use super::*;
use crate::plan::Deed;

fn begun(before: &[(&str, &str)]) -> Entry {
    let before = before.iter().map(|(id, hash)| (id.parse().unwrap(), (*hash).to_owned())).collect();
    Entry::Begun { at_ms: 1, command: "apply".into(), plan: "p".into(), before }
}

#[test]
fn reading_an_empty_folder_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::below(folder.path());
    assert_eq!(store.definition("00ff"), None);
    assert_eq!(store.adopted().unwrap(), BTreeMap::new());
    assert_eq!(store.runs(10).unwrap(), []);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_second_run_is_told_who_holds_the_lock_and_the_lock_goes_with_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::below(folder.path());
    let held = store.lock("apply").unwrap();
    let error = store.lock("down").unwrap_err();
    let words = format!("process {}, `apply`", std::process::id());
    assert!(error.to_string().contains(&words), "{error}");
    drop(held);
    store.lock("down").unwrap();
}

#[test]
fn a_journal_that_was_cut_tells_what_it_had_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::below(folder.path());
    let mut journal = store.begin(&begun(&[("s/web", "aa")])).unwrap();
    let step = Entry::Step {
        service: "s/web".parse().unwrap(),
        deed: Deed::Recreate,
        outcome: Outcome::Done,
        definition: Some("bb".into()),
    };
    journal.write(&step).unwrap();
    let path = folder.path().join("deploy/history/00000001.jsonl");
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(b"{\"event\":\"st").unwrap();
    let runs = store.runs(10).unwrap();
    assert_eq!(runs[0].entries, [begun(&[("s/web", "aa")]), step]);
    assert_eq!(runs[0].touched().len(), 1);
    assert_eq!(store.begin(&begun(&[])).unwrap().number, 2);
    assert_eq!(store.runs(10).unwrap()[0].number, 2);
}

#[test]
fn a_file_is_written_whole_with_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/file");
    write_whole(&path, b"one", 0o444, None).unwrap();
    write_whole(&path, b"two", 0o400, None).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o400);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing half-made is left");
}

#[test]
fn a_hash_that_is_none_is_no_path() {
    let store = Store::below(Path::new("/nonexistent"));
    assert_eq!(store.definition("../../etc/passwd"), None);
}

#[test]
fn what_a_container_or_a_run_mentions_is_kept_and_the_rest_goes() {
    use crate::{
        plan::Actual,
        prelude::*,
        render::{Desired, SecretGenerations, render},
    };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::below(folder.path());
    let config =
        Config::from_parts([("DOMAIN", "example.org"), ("DATA_DIR", folder.path().to_str().unwrap())]);
    let with = |content: &str| -> Desired {
        let service = Service::new("web", "x:1.0").config(config_file("/a", content));
        render(&[Stack::new("s").service(service)], &config, &SecretGenerations::default()).unwrap()
    };
    let (old, new) = (with("old"), with("new"));
    for desired in [&old, &new] {
        let service = &desired.services[0];
        store.remember(service).unwrap();
        write_whole(&service.files[0].path, b"x", 0o444, None).unwrap();
    }
    let there = |desired: &Desired| {
        (
            store.definition(&desired.services[0].definition).is_some(),
            desired.services[0].files[0].path.exists(),
        )
    };
    let mut journal = store.begin(&begun(&[("s/web", &old.services[0].definition)])).unwrap();
    journal.write(&Entry::Ended { at_ms: 1, ok: true }).unwrap();
    tidy(&store, folder.path(), &new, &Actual::default()).unwrap();
    assert_eq!((there(&old), there(&new)), ((true, true), (true, true)), "the history mentions the old one");
    fs::remove_dir_all(folder.path().join("deploy/history")).unwrap();
    tidy(&store, folder.path(), &new, &Actual::default()).unwrap();
    assert_eq!((there(&old), there(&new)), ((false, false), (true, true)));
}
