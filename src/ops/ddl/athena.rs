//! The dialect of Athena: Hive's for tables, Trino's for views. Its names are in lower case.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{DataType, FieldRef};

use super::{Changes, Described};
use crate::error::{Error, Result};
use crate::lake::store::LakeUrl;
use crate::source::sqlserver::MetadataColumns;
use crate::table::{OP_COLUMN, fold};

/// What the names of a table's log and of its view end with.
const LOG: &str = "_cdc";
const CURRENT: &str = "_current";

/// Statements, and what they leave out.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// One statement each, without a semicolon.
    pub statements: Vec<String>,
    /// One line for each thing that is left out.
    pub left_out: Vec<String>,
}

/// For each table a table over the full load, one over the log, and a view of the newest state.
///
/// # Errors
/// `ColumnsCollide` (kind `Data`) where two columns of a table have one name for Athena.
pub fn athena(tables: &[Described], lake: &LakeUrl, database: &str) -> Result<Script> {
    let root = root(lake);
    let mut script = Script::default();
    for (table, name) in tables.iter().zip(engine_names(tables)) {
        refuse_collisions(table)?;
        script
            .left_out
            .extend(table.columns.iter().filter(|column| !is_readable(column)).map(|column| left_out(table, column)));
        let of = Statements { table, root: &root, database, name: &name };
        script.statements.extend(table.has_full_load.then(|| of.full_load()));
        script.statements.push(of.log());
        if let Some(key) = table.key_columns.iter().find(|key| !is_nameable(key)) {
            script
                .left_out
                .push(format!("`{}`: no view of the newest state: the key {key:?} has no name there", table.table));
        } else if table.key_columns.is_empty() {
            script.left_out.push(format!("`{}`: without a key there is no view of the newest state", table.table));
        } else {
            script.statements.push(of.current());
        }
    }
    Ok(script)
}

/// What the keys of the lake are appended to.
fn root(lake: &LakeUrl) -> String {
    match lake {
        LakeUrl::S3 { .. } => format!("{lake}/"),
        LakeUrl::Dir(path) => format!("file://{}/", path.display()),
    }
}

/// Names of letters, digits and underscores, so that no two tables or views have the same.
fn engine_names(tables: &[Described]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut unique = |table: &Described| {
        let plain = plain(&table.name);
        let all = |name: &str| ["", LOG, CURRENT].map(|end| format!("{name}{end}"));
        let mut name = plain.clone();
        for number in 2.. {
            if !all(&name).iter().any(|name| taken.contains(name)) {
                break;
            }
            name = format!("{plain}_{number}");
        }
        taken.extend(all(&name));
        name
    };
    tables.iter().map(&mut unique).collect()
}

/// Athena takes nothing but lower-case letters, digits and underscores in the names of tables.
fn plain(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.to_lowercase().chars().map(unaccented).map(plain).collect()
}

/// The letter without its accent, for those of the languages of Western Europe.
fn unaccented(letter: char) -> char {
    const PAIRS: [(&str, char); 8] = [
        ("àáâãäå", 'a'),
        ("èéêë", 'e'),
        ("ìíîï", 'i'),
        ("òóôõö", 'o'),
        ("ùúûü", 'u'),
        ("ç", 'c'),
        ("ñ", 'n'),
        ("ýÿ", 'y'),
    ];
    PAIRS.iter().find(|(accented, _)| accented.contains(letter)).map_or(letter, |(_, plain)| *plain)
}

fn refuse_collisions(table: &Described) -> Result<()> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for name in table.log.iter().map(|column| column.name()) {
        if let Some(other) = seen.insert(fold(name), name) {
            return Err(Error::data(
                "ColumnsCollide",
                format!("table `{}`: Athena cannot tell the columns `{other}` and `{name}` apart", table.table),
            )
            .hint("rename one of them at the source"));
        }
    }
    Ok(())
}

/// The statements of one table.
struct Statements<'a> {
    table: &'a Described,
    root: &'a str,
    database: &'a str,
    name: &'a str,
}

impl Statements<'_> {
    fn full_load(&self) -> String {
        let what = match self.table.changes {
            Changes::OfSnapshots => "the newest snapshot",
            Changes::Captured(_) => "the rows before all changes",
        };
        self.external("", &self.table.place.full_load(), what, &self.table.columns)
    }

    fn log(&self) -> String {
        let what = match self.table.changes {
            Changes::Captured(MetadataColumns::Native) => {
                "the changes, __$operation = 1 (deleted), 2 (inserted), 3 and 4 (before and after an update)"
            }
            _ => "the changes, op = I, U or D",
        };
        self.external(LOG, self.table.place.cdc_prefix(), what, &self.table.log)
    }

    /// A table over the folder of the object or prefix `key`.
    fn external(&self, end: &str, key: &str, what: &str, columns: &[FieldRef]) -> String {
        let column = |column: &FieldRef| Some((column.name().to_lowercase(), athena_type(column.data_type())?));
        let columns = columns.iter().filter(|column| is_readable(column));
        let lines = columns.filter_map(column).map(|(name, its_type)| format!("  {} {its_type}", hive(&name)));
        let folder = key.rsplit_once('/').map_or(key, |(folder, _)| folder);
        format!(
            "CREATE EXTERNAL TABLE IF NOT EXISTS {}.{} (\n{}\n)\nCOMMENT {}\nSTORED AS PARQUET\nLOCATION {}",
            hive(self.database),
            hive(&format!("{}{end}", self.name)),
            lines.collect::<Vec<_>>().join(",\n"),
            literal(&format!("{}: {what}", self.table.table)),
            literal(&format!("{}{folder}/", self.root)),
        )
    }

    /// The last change of each key, unless it took the row away.
    fn current(&self) -> String {
        let names = list(self.table.columns.iter().filter(|column| is_readable(column)).map(|column| column.name()));
        let key = list(&self.table.key_columns);
        let number = trino(&self.free_name());
        let (order, is_there) = self.newest_first();
        let view = self.of_database(CURRENT);
        format!(
            "CREATE OR REPLACE VIEW {view} AS\nSELECT {names}\nFROM (\n  SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY {order}) AS {number}\n  FROM {}\n)\nWHERE {number} = 1 AND {is_there}",
            self.changes(&names),
        )
    }

    /// What a view chooses from: the log, and the rows before it where it does not begin with them.
    fn changes(&self, names: &str) -> String {
        let log = self.of_database(LOG);
        let Changes::Captured(metadata) = self.table.changes else { return log };
        if !self.table.has_full_load {
            return log;
        }
        // A row of the full load comes before every change, and counts as inserted.
        let (first, marks) = match metadata {
            MetadataColumns::Readable => ("'', 2", r#""_seq", "_operation""#),
            MetadataColumns::Native => (
                "CAST(NULL AS varbinary), CAST(NULL AS integer), CAST(NULL AS varbinary), 2",
                r#""__$start_lsn", "__$command_id", "__$seqval", "__$operation""#,
            ),
        };
        format!(
            "(\n    SELECT {names}, {marks} FROM {log}\n    UNION ALL\n    SELECT {names}, {first} FROM {}\n  )",
            self.of_database("")
        )
    }

    /// What orders the changes of a key, the newest first, and how to see that one leaves the row there.
    fn newest_first(&self) -> (&'static str, String) {
        match self.table.changes {
            // Names of objects sort in the order of the changes, and a key is in one object once at most.
            Changes::OfSnapshots => (r#""$path" DESC"#, format!("{OP_COLUMN} <> 'D'")),
            // A key that an update gave up has its image before the update as its last one.
            Changes::Captured(MetadataColumns::Readable) => {
                (r#""_seq" DESC"#, r#""_operation" NOT IN (1, 3)"#.to_owned())
            }
            Changes::Captured(MetadataColumns::Native) => (
                r#""__$start_lsn" DESC NULLS LAST, "__$command_id" DESC NULLS LAST, "__$seqval" DESC NULLS LAST, "__$operation" DESC"#,
                r#""__$operation" NOT IN (1, 3)"#.to_owned(),
            ),
        }
    }

    fn of_database(&self, end: &str) -> String {
        format!("{}.{}", trino(self.database), trino(&format!("{}{end}", self.name)))
    }

    /// A name that no column has.
    fn free_name(&self) -> String {
        let is_taken = |name: &str| self.table.log.iter().any(|column| column.name().to_lowercase() == name);
        let mut name = "newest".to_owned();
        while is_taken(&name) {
            name.push('_');
        }
        name
    }
}

fn is_readable(column: &FieldRef) -> bool {
    athena_type(column.data_type()).is_some() && is_nameable(column.name())
}

/// A statement cannot hold a name with a line end or another control character.
fn is_nameable(name: &str) -> bool {
    !name.chars().any(char::is_control)
}

/// Why a column is in no statement.
fn left_out(table: &Described, column: &FieldRef) -> String {
    let (name, table) = (column.name(), &table.table);
    if !is_nameable(name) {
        return format!("`{table}`: column {name:?}: a statement cannot hold its name; rename it at the source");
    }
    format!("`{table}`: column `{name}`: Athena reads no {}; add `time` to `as_text`", column.data_type())
}

/// The type that Athena reads our Parquet type as; `None` where it has none. In tables of Hive's an instant has no type of
/// its own.
fn athena_type(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Utf8 => "string".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::List(of) => format!("array<{}>", athena_type(of.data_type())?),
        _ => return None,
    })
}

fn hive(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn trino(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Columns of a view.
fn list<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    names.into_iter().map(|name| trino(&name.as_ref().to_lowercase())).collect::<Vec<_>>().join(", ")
}

/// A text in quotes; Hive's own escape is a backslash.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Field;

    use super::*;
    use crate::lake::layout::Place;
    use crate::source::sqlserver::columns::{Marks, marks};
    use crate::table::{ColumnType, TableName};

    fn fields(columns: &[(&str, DataType)]) -> Vec<FieldRef> {
        columns.iter().map(|(name, data_type)| Arc::new(Field::new(*name, data_type.clone(), true))).collect()
    }

    fn described(name: &str, columns: &[(&str, DataType)]) -> Described {
        let own = fields(columns);
        Described {
            table: name.to_owned(),
            name: name.to_owned(),
            place: Place::from(&TableName::parse(name).unwrap()),
            key_columns: vec![columns[0].0.to_owned()],
            log: own.iter().cloned().chain(fields(&[("op", DataType::Utf8)])).collect(),
            columns: own,
            has_full_load: true,
            changes: Changes::OfSnapshots,
        }
    }

    fn captured(columns: &[(&str, DataType)], metadata: MetadataColumns) -> Described {
        let [database, table] = ["Shop", "Order Details"].map(|name| TableName::parse(name).unwrap());
        let Marks { before, after } = marks(metadata);
        let own = fields(columns);
        Described {
            table: "dbo.Order Details".to_owned(),
            place: Place::captured(&database, "dbo", &table, false),
            log: before.into_iter().chain(own).chain(after).collect(),
            changes: Changes::Captured(metadata),
            ..described("Order Details", columns)
        }
    }

    fn lake() -> LakeUrl {
        "s3://lake-raw/up/cell".parse().unwrap()
    }

    /// The statements, one after the other.
    fn text(tables: &[Described], lake: &LakeUrl) -> String {
        athena(tables, lake, "raw").unwrap().statements.join(";\n")
    }

    #[test]
    fn every_type_has_the_one_that_athena_reads() {
        let snapshot = [
            ("b", ColumnType::Bool),
            ("i", ColumnType::Int64),
            ("d", ColumnType::Double),
            ("n", ColumnType::Decimal { precision: 10, scale: 2 }),
            ("day", ColumnType::Date),
            ("t", ColumnType::Timestamp),
            ("z", ColumnType::TimestampUtc),
            ("s", ColumnType::String),
        ];
        let columns = snapshot.map(|(name, column_type)| (name, column_type.arrow()));
        let text = text(&[described("t", &columns)], &lake());
        let types = "  `b` boolean,\n  `i` bigint,\n  `d` double,\n  `n` decimal(10,2),\n  `day` date,\n  `t` timestamp,\n  `z` timestamp,\n  `s` string";
        assert!(text.contains(&format!("(\n{types}\n)")), "{text}");
        assert!(text.contains(&format!("(\n{types},\n  `op` string\n)")), "{text}");
    }

    #[test]
    fn captured_changes_have_types_of_their_own_and_lie_over_the_first_load() {
        let columns = [
            ("Id", DataType::Int32),
            ("Small", DataType::Int16),
            ("Real", DataType::Float32),
            ("Version", DataType::Binary),
            ("Opens", DataType::Time64(arrow::datatypes::TimeUnit::Microsecond)),
        ];
        let script = athena(&[captured(&columns, MetadataColumns::Readable)], &lake(), "raw").unwrap();
        let [full_load, log, current] = &script.statements[..] else { panic!("{script:?}") };
        assert!(full_load.contains(
            "`raw`.`order_details` (\n  `id` int,\n  `small` smallint,\n  `real` float,\n  `version` binary\n)"
        ));
        assert!(full_load.ends_with("LOCATION 's3://lake-raw/up/cell/full-load/Order Details/'"), "{full_load}");
        assert!(log.ends_with("LOCATION 's3://lake-raw/up/cell/Shop/Order Details/cdc/'"), "{log}");
        assert!(log.contains("  `_operation` int,\n  `_unavailable` array<string>,\n  `_overlap` boolean\n"), "{log}");
        assert!(
            current.contains(r#"SELECT "id", "small", "real", "version", '', 2 FROM "raw"."order_details""#),
            "{current}"
        );
        assert!(current.contains(r#"PARTITION BY "id" ORDER BY "_seq" DESC)"#), "{current}");
        assert!(script.left_out[0].contains("`Opens`"), "{:?}", script.left_out);
    }

    #[test]
    fn native_changes_are_in_the_order_of_the_change_table() {
        let table = captured(&[("Id", DataType::Int32)], MetadataColumns::Native);
        let native = text(std::slice::from_ref(&table), &lake());
        let order = r#"ORDER BY "__$start_lsn" DESC NULLS LAST, "__$command_id" DESC NULLS LAST, "__$seqval" DESC NULLS LAST, "__$operation" DESC)"#;
        assert!(native.contains(order) && native.contains(r#""__$operation" NOT IN (1, 3)"#), "{native}");
        let begun_without = text(&[Described { has_full_load: false, ..table.clone() }], &lake());
        assert!(!begun_without.contains("UNION") && !begun_without.contains("full-load"), "{begun_without}");
        let keyless = athena(&[Described { key_columns: vec![], ..table }], &lake(), "raw").unwrap();
        assert_eq!((keyless.statements.len(), keyless.left_out.len()), (2, 1));
    }

    #[test]
    fn locations_are_the_folders_below_bucket_and_prefix() {
        let table = [described("clientes", &[("id", DataType::Int64)])];
        let found = text(&table, &lake());
        assert!(found.contains("LOCATION 's3://lake-raw/up/cell/full-load/clientes/'"), "{found}");
        assert!(found.contains("LOCATION 's3://lake-raw/up/cell/cdc/clientes/'"), "{found}");
        let found = text(&table, &"s3://lake-raw".parse().unwrap());
        assert!(found.contains("LOCATION 's3://lake-raw/cdc/clientes/'"), "{found}");
        let found = text(&table, &LakeUrl::Dir("/data/lake".into()));
        assert!(found.contains("LOCATION 'file:///data/lake/cdc/clientes/'"), "{found}");
    }

    #[test]
    fn odd_names_are_quoted_as_each_kind_of_statement_wants_it() {
        let columns = [("Código `x`", DataType::Int64), ("a \"b\"", DataType::Utf8), ("select", DataType::Date32)];
        let tables = [described("Transação d'água", &columns), described("transacao-d agua", &columns)];
        let text = text(&tables, &lake());
        assert!(text.contains("`raw`.`transacao_d_agua` (\n  `código ``x``` bigint,\n  `a \"b\"` string,"), "{text}");
        assert!(text.contains("PARTITION BY \"código `x`\" ORDER BY"), "{text}");
        assert!(text.contains("SELECT \"código `x`\", \"a \"\"b\"\"\", \"select\"\n"), "{text}");
        assert!(text.contains("LOCATION 's3://lake-raw/up/cell/cdc/Transação d\\'água/'"), "{text}");
        assert!(text.contains("VIEW \"raw\".\"transacao_d_agua_2_current\""), "{text}");
    }

    #[test]
    fn a_column_whose_name_no_statement_holds_is_left_out_and_said_to_be() {
        let columns = [("id", DataType::Int64), ("line\nbreak", DataType::Utf8), ("a", DataType::Utf8)];
        let script = athena(&[described("t", &columns)], &lake(), "raw").unwrap();
        let [full_load, _, current] = &script.statements[..] else { panic!("{script:?}") };
        assert!(full_load.contains("(\n  `id` bigint,\n  `a` string\n)"), "{full_load}");
        assert!(current.contains("SELECT \"id\", \"a\"\n"), "{current}");
        assert!(script.left_out[0].contains(r#""line\nbreak""#), "{:?}", script.left_out);
        let script = athena(&[described("t", &[columns[1].clone(), columns[0].clone()])], &lake(), "raw").unwrap();
        assert_eq!((script.statements.len(), script.left_out.len()), (2, 2), "{script:?}");
    }

    #[test]
    fn a_table_that_is_called_like_the_log_of_another_has_another_name() {
        let columns = [("id", DataType::Int64)];
        let names =
            engine_names(&[described("x", &columns), described("x_cdc", &columns), described("X-CDC", &columns)]);
        assert_eq!(names, ["x", "x_cdc_2", "x_cdc_3"]);
    }

    #[test]
    fn columns_that_athena_cannot_tell_apart_are_refused() {
        let table = described("t", &[("Id", DataType::Int64), ("ID", DataType::Int64)]);
        assert_eq!(athena(&[table], &lake(), "raw").unwrap_err().code(), "ColumnsCollide");
    }
}
