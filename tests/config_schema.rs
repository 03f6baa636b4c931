//! The JSON Schema of the configuration, as a validator of another make understands it.

use std::process::Command;

use crate::second_reader::{project, python, run};

#[test]
fn documents_without_faults_conform_to_the_schema_and_others_do_not() {
    let mut check = Command::new(python());
    check.arg(project("tests/config_schema.py")).arg(project("docs/config.schema.json"));
    let said = run(check.arg(project("examples/loyalty/config.json")));
    assert!(said.contains("7 conform, 12 do not"), "{said}");
}
