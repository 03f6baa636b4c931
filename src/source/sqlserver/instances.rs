//! Which capture instance serves which part of the log.
//!
//! The columns of an instance are fixed. After a change of the table an administrator makes a second one and drops the
//! first when that has been read to its end. Both cover what comes after the start of the newer one, so that a cut at that
//! start loses and repeats nothing.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;

use super::server::CaptureInstance;
use super::tracked::{Feed, TableOptions};
use crate::near::near;
use crate::position::Lsn;

/// A table to read, and its capture instances.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    /// Its schema.
    pub(crate) schema: String,
    /// Its name.
    pub(crate) name: String,
    /// How it is read.
    pub(crate) options: TableOptions,
    /// Its instances, oldest first, those without a start left out.
    pub(crate) instances: Vec<CaptureInstance>,
    /// When the oldest of the instances that the capture job has not seen yet was made, in the server's local time; `None`
    /// where there is no such instance.
    pub(crate) unstarted: Option<NaiveDateTime>,
    /// A tracked table of a name near to this one, where this one is not tracked.
    pub(crate) near: Option<String>,
}

impl Tracked {
    /// `schema.name`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The instance that has the newest columns.
    pub(crate) fn newest(&self) -> Option<&CaptureInstance> {
        self.instances.last()
    }

    /// Whether there is neither an instance nor one that the capture job has yet to see.
    pub(crate) fn is_untracked(&self) -> bool {
        self.instances.is_empty() && self.unstarted.is_none()
    }

    /// When the oldest of all its instances was made, in the server's local time.
    pub(crate) fn since(&self) -> Option<NaiveDateTime> {
        self.instances.iter().map(|instance| instance.created).chain(self.unstarted).min()
    }
}

/// The tables of a feed, in the configured order or that of their names. Instances are found by the table that they
/// capture: their own names say nothing.
pub(crate) fn tracked(feed: &Feed, instances: Vec<CaptureInstance>) -> Vec<Tracked> {
    let mut by_table: BTreeMap<(String, String), Vec<CaptureInstance>> = BTreeMap::new();
    for instance in instances {
        by_table.entry((instance.schema.clone(), instance.table.clone())).or_default().push(instance);
    }
    let Some(tables) = &feed.tables else {
        return by_table.into_iter().map(|(table, found)| of(table, feed.defaults.clone(), found)).collect();
    };
    let names: Vec<String> = by_table.keys().map(|(schema, name)| format!("{schema}.{name}")).collect();
    let one = |table: &super::TrackedTable| {
        let key = (table.schema.clone(), table.name.clone());
        let found = by_table.get(&key).cloned().unwrap_or_default();
        let near = found.is_empty().then(|| near(&format!("{}.{}", key.0, key.1), names.iter().map(String::as_str)));
        Tracked { near: near.flatten().map(str::to_owned), ..of(key, table.options.clone(), found) }
    };
    tables.iter().map(one).collect()
}

fn of((schema, name): (String, String), options: TableOptions, mut instances: Vec<CaptureInstance>) -> Tracked {
    let is_unstarted = |instance: &&CaptureInstance| instance.start_lsn.is_none();
    let unstarted = instances.iter().filter(is_unstarted).map(|instance| instance.created).min();
    instances.retain(|instance| instance.start_lsn.is_some());
    instances.sort_by_key(|instance| (instance.start_lsn, instance.created));
    Tracked { schema, name, options, unstarted, instances, near: None }
}

/// A stretch of the log that one instance serves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn<'a> {
    /// The instance.
    pub(crate) instance: &'a CaptureInstance,
    /// The last commit that it serves.
    pub(crate) end: Lsn,
}

/// Who serves the commits after `position`: the newest instance that covers them, up to the start of the next one, or to
/// `fence`. `None` where no instance begins early enough. `instances` are those of one table, oldest first.
pub(crate) fn turn(instances: &[CaptureInstance], position: Lsn, fence: Lsn) -> Option<Turn<'_>> {
    let from = position.next();
    let begun = |instance: &&CaptureInstance| instance.start_lsn.is_some_and(|start| start <= from);
    let instance = instances.iter().rfind(begun)?;
    let next = instances.iter().filter_map(|instance| instance.start_lsn).find(|&start| start > from);
    Some(Turn { instance, end: next.map_or(fence, |start| fence.min(start.previous())) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::sqlserver::{OrderGrade, TrackedTable};

    fn instance(name: &str, start: Option<u8>, created: i64) -> CaptureInstance {
        CaptureInstance {
            name: name.to_owned(),
            schema: "dbo".to_owned(),
            table: "t".to_owned(),
            source_object_id: 1,
            object_id: 2,
            created: chrono::DateTime::from_timestamp(created, 0).unwrap().naive_utc(),
            start_lsn: start.map(lsn),
            columns: Vec::new(),
            key: Vec::new(),
            is_ordered: false,
            uncaptured: Vec::new(),
            role: None,
            grade: OrderGrade::Command,
        }
    }

    fn lsn(number: u8) -> Lsn {
        Lsn::new([0, 0, 0, 0, 0, 0, 0, 0, 0, number])
    }

    fn turns(instances: Vec<CaptureInstance>, positions: &[u8]) -> Vec<Option<(String, u8)>> {
        let table = tracked(&Feed::default(), instances).remove(0);
        let one = |&position| {
            let turn = turn(&table.instances, lsn(position), lsn(100))?;
            Some((turn.instance.name.clone(), turn.end.as_bytes()[9]))
        };
        positions.iter().map(one).collect()
    }

    fn served(name: &str, end: u8) -> Option<(String, u8)> {
        Some((name.to_owned(), end))
    }

    #[test]
    fn the_older_instance_serves_up_to_the_start_of_the_newer_one() {
        let two = vec![instance("new", Some(50), 2), instance("old", Some(10), 1)];
        let expected =
            [None, served("old", 49), served("old", 49), served("new", 100), served("new", 100), served("new", 100)];
        assert_eq!(turns(two, &[8, 9, 48, 49, 50, 100]), expected);
    }

    #[test]
    fn of_two_with_equal_starts_the_younger_serves_and_one_without_a_start_does_not() {
        let equal = vec![instance("young", Some(10), 2), instance("old", Some(10), 1), instance("unseen", None, 3)];
        assert_eq!(turns(equal, &[20, 5]), [served("young", 100), None]);
        assert_eq!(
            turns(vec![instance("old", Some(10), 1), instance("young", Some(120), 2)], &[20]),
            [served("old", 100)]
        );
    }

    #[test]
    fn tables_are_found_by_their_own_name_and_a_near_one_is_named() {
        let table = |name: &str| TrackedTable {
            schema: "dbo".to_owned(),
            name: name.to_owned(),
            options: TableOptions::default(),
        };
        let feed = Feed { tables: Some(vec![table("T"), table("t")]), ..Feed::default() };
        let found = tracked(&feed, vec![instance("any_name", Some(1), 1), instance("dbo_T", None, 2)]);
        assert_eq!((found[0].instances.len(), found[0].near.as_deref()), (0, Some("dbo.t")));
        assert_eq!((found[1].instances.len(), found[1].unstarted.map(|at| at.and_utc().timestamp())), (1, Some(2)));
    }
}
