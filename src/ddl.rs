//! Statements that make the tables of a lake known to a query engine: the full load, the log, and a view of the newest
//! state of the log. Pure text; nothing is executed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::error::{Error, Result};
use crate::lake::layout;
use crate::lake::store::LakeUrl;
use crate::table::{Column, ColumnType, OP_COLUMN, TableName, TableSchema};

/// A table, as far as its statements depend on it.
#[derive(Clone, Debug)]
pub struct Described {
    /// Its name.
    pub name: TableName,
    /// Its key.
    pub key_columns: Vec<String>,
    /// Its columns.
    pub schema: TableSchema,
}

/// The statements for Athena (Hive's DDL, Trino's views): for each table the full load, the log, and a view.
///
/// # Errors
/// `ColumnsCollide` (kind `Data`) where two columns of a table have one name for Athena, which knows lower case only.
pub fn athena(tables: &[Described], lake: &LakeUrl, database: &str) -> Result<String> {
    let root = root(lake);
    let names = engine_names(tables);
    let mut text = String::new();
    for (table, name) in tables.iter().zip(&names) {
        refuse_collisions(table)?;
        let of = Statements { table, root: &root, database, name };
        let _ = write!(text, "{}\n{}\n{}\n", of.full_load(), of.log(), of.current());
    }
    Ok(text)
}

/// What the keys of the lake are appended to.
fn root(lake: &LakeUrl) -> String {
    match lake {
        LakeUrl::S3 { .. } => format!("{lake}/"),
        LakeUrl::Dir(path) => format!("file://{}/", path.display()),
    }
}

/// Names of letters, digits and underscores, no two of them equal.
fn engine_names(tables: &[Described]) -> Vec<String> {
    let mut taken: BTreeMap<String, u32> = BTreeMap::new();
    let unique = |table: &Described| {
        let name = plain(table.name.as_str());
        let times = taken.entry(name.clone()).and_modify(|times| *times += 1).or_insert(1);
        if *times == 1 { name } else { format!("{name}_{times}") }
    };
    tables.iter().map(unique).collect()
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
    for Column { name, .. } in &table.schema.columns {
        if let Some(other) = seen.insert(name.to_lowercase(), name) {
            return Err(Error::data(
                "ColumnsCollide",
                format!("table `{}`: Athena cannot tell the columns `{other}` and `{name}` apart", table.name),
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
        let key = layout::full_load(&self.table.name);
        self.external(self.name, &key, "the newest snapshot", &[])
    }

    fn log(&self) -> String {
        let op = Column { name: OP_COLUMN.to_owned(), column_type: ColumnType::String };
        let name = format!("{}_cdc", self.name);
        self.external(&name, &layout::cdc_prefix(&self.table.name), "the changes, op = I, U or D", &[op])
    }

    /// A table over the folder of the object or prefix `key`, with `more` columns behind its own.
    fn external(&self, name: &str, key: &str, what: &str, more: &[Column]) -> String {
        let columns = self.table.schema.columns.iter().chain(more);
        let lines: Vec<String> =
            columns.map(|column| format!("  {} {}", hive(&column.name.to_lowercase()), athena_type(column))).collect();
        let folder = key.rsplit_once('/').map_or(key, |(folder, _)| folder);
        format!(
            "CREATE EXTERNAL TABLE IF NOT EXISTS {}.{} (\n{}\n)\nCOMMENT {}\nSTORED AS PARQUET\nLOCATION {};\n",
            hive(self.database),
            hive(name),
            lines.join(",\n"),
            literal(&format!("{}: {what}", self.table.name)),
            literal(&format!("{}{folder}/", self.root)),
        )
    }

    /// The last change of each key, unless it is a delete. Names of objects sort in the order of the changes, and a key is
    /// in one object once at most.
    fn current(&self) -> String {
        let quoted =
            |names: Vec<&str>| names.iter().map(|name| trino(&name.to_lowercase())).collect::<Vec<_>>().join(", ");
        let columns = quoted(self.table.schema.columns.iter().map(|column| column.name.as_str()).collect());
        let key = quoted(self.table.key_columns.iter().map(String::as_str).collect());
        let (database, number) = (trino(self.database), trino(&self.free_name()));
        format!(
            "CREATE OR REPLACE VIEW {database}.{} AS\nSELECT {columns}\nFROM (\n  SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY \"$path\" DESC) AS {number}\n  FROM {database}.{}\n)\nWHERE {number} = 1 AND {OP_COLUMN} <> 'D';\n",
            trino(&format!("{}_current", self.name)),
            trino(&format!("{}_cdc", self.name)),
        )
    }

    /// A name that no column has.
    fn free_name(&self) -> String {
        let is_taken = |name: &str| self.table.schema.columns.iter().any(|column| column.name.to_lowercase() == name);
        let mut name = "newest".to_owned();
        while is_taken(&name) {
            name.push('_');
        }
        name
    }
}

/// The type that Athena reads our Parquet type as. It has no type of its own for instants in the tables of Hive.
fn athena_type(column: &Column) -> String {
    match column.column_type {
        ColumnType::Bool => "boolean".to_owned(),
        ColumnType::Int64 => "bigint".to_owned(),
        ColumnType::Double => "double".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        ColumnType::Date => "date".to_owned(),
        ColumnType::Timestamp | ColumnType::TimestampUtc => "timestamp".to_owned(),
        ColumnType::String => "string".to_owned(),
    }
}

fn hive(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn trino(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in quotes; Hive's own escape is a backslash.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(name: &str, columns: &[(&str, ColumnType)]) -> Described {
        let column =
            |(name, column_type): &(&str, ColumnType)| Column { name: (*name).to_owned(), column_type: *column_type };
        Described {
            name: TableName::parse(name).unwrap(),
            key_columns: vec![columns[0].0.to_owned()],
            schema: TableSchema { columns: columns.iter().map(column).collect(), source: vec![] },
        }
    }

    fn lake() -> LakeUrl {
        "s3://lake-raw/up/cell".parse().unwrap()
    }

    #[test]
    fn every_type_has_the_one_that_athena_reads() {
        let columns = [
            ("b", ColumnType::Bool),
            ("i", ColumnType::Int64),
            ("d", ColumnType::Double),
            ("n", ColumnType::Decimal { precision: 10, scale: 2 }),
            ("day", ColumnType::Date),
            ("t", ColumnType::Timestamp),
            ("z", ColumnType::TimestampUtc),
            ("s", ColumnType::String),
        ];
        let text = athena(&[described("t", &columns)], &lake(), "raw").unwrap();
        let types = "  `b` boolean,\n  `i` bigint,\n  `d` double,\n  `n` decimal(10,2),\n  `day` date,\n  `t` timestamp,\n  `z` timestamp,\n  `s` string";
        assert!(text.contains(&format!("(\n{types}\n)")), "{text}");
        assert!(text.contains(&format!("(\n{types},\n  `op` string\n)")), "{text}");
    }

    #[test]
    fn locations_are_the_folders_below_bucket_and_prefix() {
        let table = [described("clientes", &[("id", ColumnType::Int64)])];
        let text = athena(&table, &lake(), "raw").unwrap();
        assert!(text.contains("LOCATION 's3://lake-raw/up/cell/full-load/clientes/';"), "{text}");
        assert!(text.contains("LOCATION 's3://lake-raw/up/cell/cdc/clientes/';"), "{text}");
        let text = athena(&table, &"s3://lake-raw".parse().unwrap(), "raw").unwrap();
        assert!(text.contains("LOCATION 's3://lake-raw/cdc/clientes/';"), "{text}");
        let text = athena(&table, &LakeUrl::Dir("/data/lake".into()), "raw").unwrap();
        assert!(text.contains("LOCATION 'file:///data/lake/cdc/clientes/';"), "{text}");
    }

    #[test]
    fn odd_names_are_quoted_as_each_kind_of_statement_wants_it() {
        let columns =
            [("Código `x`", ColumnType::Int64), ("a \"b\"", ColumnType::String), ("select", ColumnType::Date)];
        let tables = [described("Transação d'água", &columns), described("transacao-d agua", &columns)];
        let text = athena(&tables, &lake(), "raw").unwrap();
        assert!(text.contains("`raw`.`transacao_d_agua` (\n  `código ``x``` bigint,\n  `a \"b\"` string,"), "{text}");
        assert!(text.contains("PARTITION BY \"código `x`\" ORDER BY"), "{text}");
        assert!(text.contains("SELECT \"código `x`\", \"a \"\"b\"\"\", \"select\"\n"), "{text}");
        assert!(text.contains("LOCATION 's3://lake-raw/up/cell/cdc/Transação d\\'água/';"), "{text}");
        assert!(text.contains("VIEW \"raw\".\"transacao_d_agua_2_current\""), "{text}");
    }

    #[test]
    fn columns_that_athena_cannot_tell_apart_are_refused() {
        let table = described("t", &[("Id", ColumnType::Int64), ("ID", ColumnType::Int64)]);
        assert_eq!(athena(&[table], &lake(), "raw").unwrap_err().code(), "ColumnsCollide");
    }
}
