//! Which columns, alone or in pairs, could be the key: found by sketches, proven on all rows.

use hashbrown::HashSet;
use serde::Serialize;

use super::column::{Profile, is_date};
use super::names;
use super::sketch::Sketch;
use crate::diff::column_hashes;
use crate::error::Result;
use crate::pipeline::Progress;
use crate::table::{ColumnType, TableFile, TableSpec};

/// So many columns are paired with each other.
const PAIRED: usize = 12;

/// Hashes that the sketch of a pair holds.
const PAIR_HASHES: usize = 1024;

/// So many keys are tried on all rows, one by one.
const PROVEN: usize = 3;

/// A key that was tried on all rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyCandidate {
    /// Its columns.
    pub columns: Vec<String>,
    /// Rows whose key an earlier row has; none for a key that holds.
    pub repeats: u64,
}

/// The keys that were tried, those that hold first. A pair is tried only where no single column holds.
pub(super) fn search(
    file: &TableFile,
    spec: &TableSpec,
    profile: &Profile,
    progress: &dyn Progress,
) -> Result<Vec<KeyCandidate>> {
    let search = Search { file, spec, profile, progress };
    let ranked = search.ranked();
    let alone = ranked.iter().filter(|&&column| !profile.facts[column].sketch.repeats()).map(|&column| vec![column]);
    let mut tried = search.prove(alone.take(PROVEN).collect())?;
    if !tried.iter().any(|key| key.repeats == 0) {
        tried.extend(search.prove(search.pairs(&ranked)?)?);
    }
    tried.sort_by_key(|key| key.repeats);
    Ok(tried)
}

struct Search<'a> {
    file: &'a TableFile,
    spec: &'a TableSpec,
    profile: &'a Profile,
    progress: &'a dyn Progress,
}

impl Search<'_> {
    /// The columns that could be in a key, the likeliest first: never null, and of a type that names things.
    fn ranked(&self) -> Vec<usize> {
        let columns = &self.profile.schema.columns;
        let could = |&column: &usize| {
            let measured = matches!(columns[column].column_type, ColumnType::Bool | ColumnType::Double);
            !measured && self.profile.facts[column].nulls == 0
        };
        let mut ranked: Vec<usize> = (0..columns.len()).filter(could).collect();
        ranked.sort_by_key(|&column| {
            let of = &columns[column];
            let likeness = names::key_likeness(&of.name, self.spec.name.as_str());
            (std::cmp::Reverse(likeness), is_date(of.column_type), of.column_type == ColumnType::String, column)
        });
        ranked
    }

    /// The pairs that may be unique as far as sketches tell, the likeliest first.
    fn pairs(&self, ranked: &[usize]) -> Result<Vec<Vec<usize>>> {
        let distinct = |column: usize| self.profile.facts[column].sketch.distinct();
        let varied: Vec<usize> = ranked.iter().copied().filter(|&column| distinct(column) > 1).take(PAIRED).collect();
        let later = |place: usize| varied.iter().skip(place + 1);
        let all = varied.iter().enumerate().flat_map(|(place, &a)| later(place).map(move |&b| (a, b)));
        // An estimate may be too low by some percent.
        let enough = |&(a, b): &(usize, usize)| {
            u128::from(distinct(a)) * u128::from(distinct(b)) * 9 / 8 >= u128::from(self.profile.rows)
        };
        let mut pairs: Vec<_> = all.filter(enough).map(|pair| (pair, Sketch::new(PAIR_HASHES))).collect();
        self.hashes(&varied, &mut |hashes| {
            for ((a, b), sketch) in pairs.iter_mut().filter(|(_, sketch)| !sketch.repeats()) {
                let (a, b) = (&hashes[place(&varied, *a)], &hashes[place(&varied, *b)]);
                a.iter().zip(b).for_each(|(a, b)| sketch.add(a.wrapping_add(*b)));
            }
        })?;
        let left = pairs.into_iter().filter(|(_, sketch)| !sketch.repeats());
        let in_order = |(a, b): (usize, usize)| vec![a.min(b), a.max(b)];
        Ok(left.map(|(pair, _)| in_order(pair)).take(PROVEN).collect())
    }

    /// Tries each key on all rows, until one holds.
    fn prove(&self, keys: Vec<Vec<usize>>) -> Result<Vec<KeyCandidate>> {
        let mut tried = Vec::new();
        for key in keys {
            let (mut seen, mut repeats) = (HashSet::new(), 0);
            self.hashes(&key, &mut |columns| {
                for row in 0..columns.first().map_or(0, Vec::len) {
                    let hash = columns.iter().fold(0_u64, |sum, hashes| sum.wrapping_add(hashes[row]));
                    repeats += u64::from(!seen.insert(hash));
                }
            })?;
            let names = key.iter().map(|&column| self.profile.schema.columns[column].name.clone());
            tried.push(KeyCandidate { columns: names.collect(), repeats });
            if repeats == 0 {
                break;
            }
        }
        Ok(tried)
    }

    /// Reads the file once more and gives the fingerprints of these columns, some rows at a time.
    fn hashes(&self, columns: &[usize], each: &mut dyn FnMut(&[Vec<u64>])) -> Result<()> {
        if columns.is_empty() {
            return Ok(());
        }
        let count = self.progress.rows(self.spec.name.as_str());
        self.file.reading(|file| {
            file.read(self.spec, &self.profile.schema, &mut |rows| {
                count(rows.lines.len() as u64);
                let hashes = columns.iter().map(|&column| {
                    // Another seed for each column, or a pair and its reverse would be one.
                    column_hashes(rows.batch.column(column).as_ref(), column as u64 + 1)
                });
                each(&hashes.collect::<Result<Vec<_>>>()?);
                Ok(())
            })
        })?;
        Ok(())
    }
}

fn place(columns: &[usize], column: usize) -> usize {
    columns.iter().position(|&other| other == column).unwrap_or_default()
}
