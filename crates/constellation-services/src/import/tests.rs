use super::*;

fn imported(compose: &str) -> Imported {
    import(compose, &ImportOptions::default()).unwrap()
}

fn code(compose: &str) -> String {
    imported(compose).code
}

#[test]
fn names_that_are_words_of_the_language_or_of_rust_become_other_functions() {
    let compose = "services:\n  secret: {image: x}\n  type: {image: x}\n  a-b: {image: x}\n  a_b: {image: x}\n  9: {image: x}\n";
    let code = code(compose);
    for function in ["secret_service", "type_service", "a_b", "a_b_service", "service_9"] {
        assert!(code.contains(&format!("fn {function}() -> Service")), "{function} in {code}");
    }
    assert!(code.contains("Service::new(\"secret\", \"x\")"), "{code}");
}

#[test]
fn a_text_from_the_file_stays_in_its_quotes_and_in_its_comment() {
    let compose = "services:\n  web:\n    image: \"x\\\"); panic!(\\\"\"\n    \"a\\nfn b() {}\": 1\n";
    let code = code(compose);
    assert!(code.contains("r#\"x\"); panic!(\"\"#"), "{code}");
    assert!(!code.lines().any(|line| line.trim_start().starts_with("fn b")), "{code}");
}

#[test]
fn a_network_that_nobody_named_is_the_project_s_own() {
    let code = code("name: shop\nservices: {web: {image: x}}\n");
    assert!(
        code.contains(".network(Network::new(\"default\"))") && code.contains(".network(\"default\")"),
        "{code}"
    );
}

#[test]
fn numbers_that_are_variables_are_fixed_at_their_defaults_and_that_is_said() {
    let imported = imported("services:\n  a: {image: x, cpus: '${CPUS:-0.5}', mem_limit: $MEM}\n");
    assert!(imported.code.contains(".cpus(0.5.cores())"), "{}", imported.code);
    let note = |field: &str| imported.notes.iter().find(|note| note.place.ends_with(field)).unwrap();
    assert!(note(".cpus").text.contains("CPUS is fixed"), "{:?}", note(".cpus"));
    assert!(note(".mem_limit").text.contains("write the value"), "{:?}", note(".mem_limit"));
}

#[test]
fn the_stack_has_the_name_of_the_file_or_else_of_its_folder() {
    let options = ImportOptions { stack: Some("my shop".to_owned()), folder: None };
    assert_eq!(import("services: {}\n", &options).unwrap().stack, "my-shop");
    assert_eq!(import("name: ${P:-other}\nservices: {}\n", &options).unwrap().stack, "other");
    assert_eq!(imported("services: {}\n").stack, "imported");
}

#[test]
fn what_names_nothing_of_the_file_is_left_out_with_a_note() {
    let imported = imported("services:\n  a: {image: x, networks: [gone], depends_on: [b], secrets: [s]}\n");
    assert!(
        !imported.code.contains("gone\")") && !imported.code.contains(".depends_on("),
        "{}",
        imported.code
    );
    assert_eq!(imported.notes.iter().filter(|note| note.line == 2).count(), 3, "{:#?}", imported.notes);
}

#[test]
fn a_routed_service_whose_labels_have_no_word_keeps_all_of_them() {
    let labels = "traefik.enable: 'true', traefik.http.routers.a.rule: 'Host(`a.b`)', \
                  traefik.http.routers.a.observability.metrics: 'false'";
    let code = code(&format!("services:\n  a: {{image: x, expose: [80], labels: {{{labels}}}}}\n"));
    assert!(code.contains(".label(\"traefik.http.routers.a.rule\", \"Host(`a.b`)\")"), "{code}");
    assert!(!code.contains("Route::http"), "half a route would be another one: {code}");
}
