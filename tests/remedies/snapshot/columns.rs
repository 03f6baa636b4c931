//! Names, types and keys.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, ListArray, TimestampNanosecondArray};
use arrow::datatypes::Int32Type;
use serde_json::{Value, json};

use super::{Case, NewName, Republish, Set, csv, first, later, parquet};

pub(super) fn cases() -> Vec<Case> {
    let nothing = Value::Null;
    let binary: ArrayRef = Arc::new(BinaryArray::from(vec![&b"x"[..], b"y"]));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)]), None]));
    let nanos = parquet(Arc::new(TimestampNanosecondArray::from(vec![1_000, 1_500])));
    let numbers = parquet(Arc::new(Int64Array::from(vec![7, 8])));
    let named = |columns: &str| csv(&format!("{columns}\n1,x,y\n"));
    let renamed = || vec![(Republish("at the source", named("id,a,b")), &["1|x|y"][..])];
    let number = json!({"columns": {"v": "int64"}});
    vec![
        first("ColumnNotFound", nothing.clone(), csv("id;v\n1;2\n"), vec![(Set(json!({"sep": ";"})), &["1|2"])]),
        first("ColumnNotFound", json!({"pk": "idd"}), csv("id,v\n1,2\n"), vec![(Set(json!({"pk": "id"})), &["1|2"])]),
        first(
            "ColumnNotFound",
            json!({"date_field": "day"}),
            csv("id,v\n1,2\n"),
            vec![(Set(json!({"date_field": "v"})), &["1|2"])],
        ),
        first("EmptyColumnName", nothing.clone(), named("id,,b"), renamed()),
        first("DuplicateColumnName", nothing.clone(), named("id,b,B"), renamed()),
        first("ReservedColumnName", nothing.clone(), named("id,op,b"), renamed()),
        later(
            "ColumnCaseChanged",
            nothing.clone(),
            csv("id,A\n1,x\n"),
            csv("id,a\n1,y\n"),
            vec![
                (Republish("again at the source", csv("id,A\n1,y\n")), &["1|y"]),
                (NewName(nothing.clone()), &["1|y"]),
            ],
        ),
        later(
            "SchemaFrozen",
            json!({"schema": "freeze"}),
            csv("id\n1\n"),
            csv("id,v\n1,2\n"),
            vec![
                (Set(json!({"schema": "evolve"})), &["1|2"]),
                (Republish("repair the source", csv("id\n1\n2\n")), &["1", "2"]),
            ],
        ),
        Case {
            then: Some(number.clone()),
            ..later(
                "SchemaNarrowed",
                nothing.clone(),
                csv("id,v\n1,x\n"),
                csv("id,v\n1,7\n"),
                vec![(Set(json!({"columns": {}})), &["1|7"]), (NewName(number.clone()), &["1|7"])],
            )
        },
        first(
            "CellMisfit",
            number.clone(),
            csv("id,v\n1,x\n"),
            vec![
                (Set(json!({"columns": {"v": "string"}})), &["1|x"]),
                (Republish("repair the value", csv("id,v\n1,7\n")), &["1|7"]),
            ],
        ),
        first(
            "CellMisfit",
            json!({"columns": {"v": "double"}}),
            csv("id,v\n1,\"1,5\"\n2,2.5\n"),
            vec![(Set(json!({"columns": {"v": "string"}})), &["1|1,5", "2|2.5"])],
        ),
        first(
            "CellMisfit",
            nothing.clone(),
            nanos,
            vec![
                (
                    Set(json!({"columns": {"v": "timestamp"}})),
                    &["1|1970-01-01T00:00:00.000001", "2|1970-01-01T00:00:00.000001"],
                ),
                (
                    Set(json!({"columns": {"v": "string"}})),
                    &["1|1970-01-01 00:00:00.000001", "2|1970-01-01 00:00:00.000001500"],
                ),
            ],
        ),
        first(
            "UnsupportedColumn",
            nothing.clone(),
            parquet(binary),
            vec![(Set(json!({"columns": {"v": "string"}})), &["1|x", "2|y"])],
        ),
        first(
            "UnsupportedColumn",
            nothing.clone(),
            parquet(lists),
            vec![(Republish("at the source", numbers), &["1|7", "2|8"])],
        ),
        Case {
            then: Some(nothing.clone()),
            ..later(
                "LosesDigits",
                number,
                csv("id,v\n1,9007199254740993\n2,5\n"),
                csv("id,v\n2,2.5\n3,3.5\n"),
                vec![(Set(json!({"columns": {"v": "string"}})), &["2|2.5", "3|3.5"])],
            )
        },
        first(
            "HeaderOfParquet",
            json!({"header": "none", "columns": {"id": "auto", "v": "auto"}}),
            parquet(Arc::new(Int64Array::from(vec![7, 8]))),
            vec![(Set(json!({"header": null})), &["1|7", "2|8"])],
        ),
        Case {
            then: Some(json!({"header": "none", "columns": {"id": "auto", "b": "auto", "a": "auto"}})),
            ..later(
                "ColumnsReordered",
                json!({"header": "none", "columns": {"id": "auto", "a": "auto", "b": "auto"}}),
                csv("1,x,y\n"),
                csv("1,x,z\n"),
                vec![
                    (Set(json!({"columns": {"id": "auto", "a": "auto", "b": "auto"}})), &["1|x|z"]),
                    (NewName(Value::Null), &["1|x|z"]),
                ],
            )
        },
    ]
}

pub(super) fn keys() -> Vec<Case> {
    let nothing = Value::Null;
    let twice = csv("id,v\n1,x\n1,y\n");
    let null = csv("id,v\n1,x\n,y\n");
    let double = json!({"columns": {"id": "double"}});
    vec![
        first(
            "DuplicateKeys",
            nothing.clone(),
            twice,
            vec![
                (Set(json!({"on_duplicate_key": "first"})), &["1|x"]),
                (Set(json!({"on_duplicate_key": "last"})), &["1|y"]),
                (Set(json!({"pk": ["id", "v"]})), &["1|x", "1|y"]),
                (Republish("repair the source", csv("id,v\n1,x\n2,y\n")), &["1|x", "2|y"]),
            ],
        ),
        first(
            "NullKey",
            nothing.clone(),
            null,
            vec![
                (Set(json!({"on_null_key": "drop"})), &["1|x"]),
                (Set(json!({"pk": "v"})), &["1|x", "∅|y"]),
                (Republish("repair the source", csv("id,v\n1,x\n2,y\n")), &["1|x", "2|y"]),
            ],
        ),
        Case {
            then: Some(json!({"pk": "v"})),
            ..later(
                "PkChanged",
                nothing.clone(),
                csv("id,v\n1,x\n"),
                csv("id,v\n1,x\n2,y\n"),
                vec![(Set(json!({"pk": "id"})), &["1|x", "2|y"]), (NewName(json!({"pk": "v"})), &["1|x", "2|y"])],
            )
        },
        Case {
            then: Some(json!({"columns": {"id": "string"}})),
            ..later(
                "KeyTypeChanged",
                double.clone(),
                csv("id\n1.5\n"),
                csv("id\n1.5\n2.5\n"),
                vec![(Set(double), &["1.5", "2.5"]), (NewName(json!({"columns": {"id": "string"}})), &["1.5", "2.5"])],
            )
        },
    ]
}
