//! What the command line says of a SQL Server source without asking the server.

use serde_json::json;

use super::Desk;

fn desk() -> Desk {
    let desk = Desk::new();
    let source = json!({"type": "sqlserver", "host": "db.example", "database": "Shop", "secret_id": "login"});
    desk.write("config.json", &json!({"source": source}).to_string());
    desk
}

#[test]
fn files_do_not_stand_in_for_a_database() {
    desk().run(&["run", "--once", "--lake", "lake", "--skip-download"]).expect(2, &["--skip-download", "SQL Server"]);
}

#[test]
fn an_empty_lake_of_captured_changes_is_not_called_complete() {
    desk().run(&["verify", "--lake", "lake"]).expect(0, &["there is nothing here"]);
    desk().run(&["verify", "--lake", "lake", "--table", "dbo.t"]).expect(2, &["UnknownTable", "dbo.t"]);
}

#[test]
fn a_state_that_cannot_be_read_is_a_line_of_what_looks_at_the_lake() {
    let desk = desk();
    desk.write("lake/_state/dbo.t.json", "{");
    desk.run(&["verify", "--lake", "lake"]).expect(1, &["dbo.t", "StateGarbled"]);
    desk.run(&["history", "--lake", "lake"]).expect(1, &["dbo.t", "StateGarbled"]);
    desk.run(&["ddl", "--engine", "athena", "--lake", "lake"]).expect(1, &["StateGarbled", "dbo.t"]);
}

#[test]
fn captured_changes_have_a_history_but_no_past_states() {
    desk().run(&["history", "--lake", "lake", "--table", "dbo.t"]).expect(2, &["UnknownTable", "dbo.t"]);
    let restore = ["restore", "--lake", "lake", "--table", "dbo.t", "--at", "2026"];
    desk().run(&restore).expect(2, &["CapturedChanges", "hint: "]);
}
