//! Where in the lake the tables of a database have their objects.

use std::collections::HashMap;

use crate::error::Result;
use crate::lake::layout::Place;
use crate::source::sqlserver::faults;
use crate::source::sqlserver::instances::Tracked;
use crate::table::TableName;

/// Where the objects of each table are. Of two tables that would have the same ones, the second has none.
pub(crate) fn places(tables: &[Tracked], database: &str, schema_in_path: bool) -> HashMap<String, Result<Place>> {
    let mut taken: HashMap<String, String> = HashMap::new();
    let mut places = HashMap::new();
    for table in tables {
        let name = table.full_name();
        let place =
            place(table, database, schema_in_path).and_then(|place| match taken.get(&place.state().to_lowercase()) {
                Some(other) => Err(faults::name_taken(&name, other, place.cdc_prefix())),
                None => Ok(place),
            });
        if let Ok(place) = &place {
            taken.insert(place.state().to_lowercase(), name.clone());
        }
        places.insert(name, place);
    }
    places
}

/// Where the objects of one table are.
pub(crate) fn place(table: &Tracked, database: &str, schema_in_path: bool) -> Result<Place> {
    let parse = |name: &str| TableName::parse(name).map_err(|is_wrong| faults::unsafe_name(name, is_wrong));
    if schema_in_path {
        parse(&table.schema)?;
    }
    Ok(Place::captured(&parse(database)?, &table.schema, &parse(&table.name)?, schema_in_path))
}
