//! Random histories of a table: what a source may do to it from one version to the next.

use cdc_to_s3::table::{OnDuplicateKey, OnNullKey, TableSpec, UpdateDetection};

use crate::support::lake::{self, Row};
use crate::support::random::Random;

const DATE_FIELD: &str = "changed";

/// One snapshot, as its file has it.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// What the values of a column look like.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Bool,
    Int,
    Double,
    /// A number with a zero at its end, which the text has and the number has not.
    Price,
    /// A number as Python writes it, a zero behind the point of whole ones.
    Repr,
    /// Some with a comma, others with a point.
    Comma,
    /// What looks like a number and is none: `1.1` is not `1.10`.
    Code,
    Date,
    Timestamp,
    /// A time with its offset.
    Instant,
    Text,
}

const KINDS: [Kind; 10] = [
    Kind::Bool,
    Kind::Int,
    Kind::Double,
    Kind::Price,
    Kind::Repr,
    Kind::Comma,
    Kind::Date,
    Kind::Timestamp,
    Kind::Instant,
    Kind::Text,
];

#[derive(Clone, Debug)]
struct Column {
    name: String,
    kind: Kind,
}

/// A table that lives.
#[derive(Debug)]
pub(super) struct History {
    pub(super) spec: TableSpec,
    columns: Vec<Column>,
    rows: Vec<Row>,
    /// Rows that were deleted, and columns that were removed.
    gone: (Vec<Row>, Vec<Column>),
    earlier: Vec<(Vec<Column>, Vec<Row>)>,
    next_name: usize,
    day: usize,
}

impl History {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut spec = lake::spec("t");
        let detections = [UpdateDetection::Date, UpdateDetection::Content];
        spec.update_detection = random.pick(&detections);
        spec.date_field = (spec.update_detection != UpdateDetection::Content).then(|| DATE_FIELD.to_owned());
        spec.on_duplicate_key = random.pick(&[OnDuplicateKey::Fail, OnDuplicateKey::First, OnDuplicateKey::Last]);
        if random.chance(40) {
            spec.pk.push("part".to_owned());
        }
        spec.on_null_key = random.pick(&[OnNullKey::Fail, OnNullKey::Drop]);
        let key_kinds = [Kind::Int, Kind::Int, Kind::Text, Kind::Code, Kind::Date, Kind::Timestamp, Kind::Bool];
        let mut columns: Vec<Column> =
            spec.pk.iter().map(|name| Column { name: name.clone(), kind: random.pick(&key_kinds) }).collect();
        if let Some(name) = &spec.date_field {
            columns.push(Column { name: name.clone(), kind: random.pick(&[Kind::Int, Kind::Date, Kind::Timestamp]) });
        }
        let mut history = Self {
            spec,
            columns,
            rows: Vec::new(),
            gone: Default::default(),
            earlier: Vec::new(),
            next_name: 0,
            day: 0,
        };
        (0..1 + random.below(3)).for_each(|_| history.add_column(random));
        (0..3 + random.below(12)).for_each(|_| history.insert(random));
        history
    }

    /// The next version; the first is the table as it was made.
    pub(super) fn next(&mut self, random: &mut Random) -> Version {
        self.day += 1;
        if self.earlier.is_empty() {
            return self.version();
        }
        match random.below(20) {
            0 | 1 => self.version(),
            2 => Version { rows: Vec::new(), ..self.version() },
            3 => {
                (self.columns, self.rows) = random.pick(&self.earlier);
                self.version()
            }
            4 => self.with_a_duplicate(random),
            5 => self.with_a_null_key(random),
            _ => {
                (0..1 + random.below(6)).for_each(|_| self.mutate(random));
                self.version()
            }
        }
    }

    fn version(&mut self) -> Version {
        self.earlier.push((self.columns.clone(), self.rows.clone()));
        Version { columns: self.columns.iter().map(|column| column.name.clone()).collect(), rows: self.rows.clone() }
    }

    fn with_a_duplicate(&mut self, random: &mut Random) -> Version {
        let mut version = self.version();
        if !version.rows.is_empty() {
            let original = random.pick(&version.rows);
            let mut copy = self.row(random);
            self.spec.pk.iter().for_each(|name| drop(copy.insert(name.clone(), original[name].clone())));
            let place = random.below(version.rows.len() + 1);
            version.rows.insert(place, copy);
        }
        version
    }

    fn with_a_null_key(&mut self, random: &mut Random) -> Version {
        let mut version = self.version();
        if self.columns.len() == 1 {
            return version; // A row of one null is an empty line, which is no row.
        }
        let mut row = self.row(random);
        row.remove(&self.spec.pk[0]);
        version.rows.push(row);
        version
    }

    fn mutate(&mut self, random: &mut Random) {
        match random.below(22) {
            0..=3 => self.insert(random),
            4..=7 => self.change(random, true),
            8 | 9 => self.change(random, false),
            10 => self.move_date_back(random),
            11 | 12 => self.delete(random),
            13 => (0..self.rows.len() * 3 / 5).for_each(|_| self.delete(random)),
            14 | 15 => self.readd(random),
            16 => self.add_column(random),
            17 => self.remove_column(random),
            18 => self.restore_column(random),
            19 => random.shuffle(&mut self.columns),
            20 => random.shuffle(&mut self.rows),
            _ => self.widen(random),
        }
    }

    fn insert(&mut self, random: &mut Random) {
        let row = self.row(random);
        let key = lake::key_of(&row, &self.spec.pk);
        if self.rows.iter().all(|other| lake::key_of(other, &self.spec.pk) != key) {
            self.rows.push(row);
        }
    }

    fn row(&self, random: &mut Random) -> Row {
        let mut row = Row::new();
        for column in &self.columns {
            if self.spec.pk.contains(&column.name) {
                row.insert(column.name.clone(), value(column.kind, 1 + random.below(40)));
            } else if column.name == DATE_FIELD {
                self.set_date(&mut row, self.day, random);
            } else if !random.chance(20) {
                row.insert(column.name.clone(), value(column.kind, random.below(1000)));
            }
        }
        row
    }

    fn set_date(&self, row: &mut Row, day: usize, random: &mut Random) {
        let Some(column) = self.columns.iter().find(|column| column.name == DATE_FIELD) else { return };
        if random.chance(10) {
            row.remove(DATE_FIELD);
        } else {
            row.insert(DATE_FIELD.to_owned(), value(column.kind, 100 + day));
        }
    }

    /// Changes a cell or two of a row, with or without moving its date on.
    fn change(&mut self, random: &mut Random, dated: bool) {
        if self.rows.is_empty() {
            return;
        }
        let place = random.below(self.rows.len());
        let (mut row, new) = (self.rows[place].clone(), self.row(random));
        let plain = |column: &&Column| !self.spec.pk.contains(&column.name) && column.name != DATE_FIELD;
        for column in self.columns.iter().filter(plain).filter(|_| random.chance(60)).collect::<Vec<_>>() {
            match new.get(&column.name) {
                Some(text) => drop(row.insert(column.name.clone(), text.clone())),
                None => drop(row.remove(&column.name)),
            }
        }
        if dated {
            self.set_date(&mut row, self.day, random);
        }
        self.rows[place] = row;
    }

    fn move_date_back(&mut self, random: &mut Random) {
        if self.rows.is_empty() {
            return;
        }
        let (place, day) = (random.below(self.rows.len()), random.below(self.day + 1));
        let mut row = self.rows[place].clone();
        self.set_date(&mut row, day, random);
        self.rows[place] = row;
    }

    fn delete(&mut self, random: &mut Random) {
        if !self.rows.is_empty() {
            let row = self.rows.swap_remove(random.below(self.rows.len()));
            self.gone.0.push(row);
        }
    }

    /// The key of a deleted row comes back, with the old values or with new ones.
    fn readd(&mut self, random: &mut Random) {
        let Some(old) = self.gone.0.pop() else { return };
        let mut row = if random.chance(50) { old.clone() } else { self.row(random) };
        self.spec.pk.iter().for_each(|name| drop(row.insert(name.clone(), old[name].clone())));
        row.retain(|name, _| self.columns.iter().any(|column| column.name == *name));
        let key = lake::key_of(&row, &self.spec.pk);
        if self.rows.iter().all(|other| lake::key_of(other, &self.spec.pk) != key) {
            self.rows.push(row);
        }
    }

    fn add_column(&mut self, random: &mut Random) {
        self.next_name += 1;
        let column = Column { name: format!("c{}", self.next_name), kind: random.pick(&KINDS) };
        self.put_column(column, random);
    }

    fn put_column(&mut self, column: Column, random: &mut Random) {
        // Sometimes a column has no value in its first version.
        let filled = random.pick(&[70, 70, 0]);
        for row in self.rows.iter_mut().filter(|_| random.chance(filled)).collect::<Vec<_>>() {
            row.insert(column.name.clone(), value(column.kind, random.below(1000)));
        }
        let place = random.below(self.columns.len() + 1);
        self.columns.insert(place, column);
    }

    fn remove_column(&mut self, random: &mut Random) {
        let place = random.below(self.columns.len());
        let name = self.columns[place].name.clone();
        if name.starts_with('c') && name != DATE_FIELD {
            self.gone.1.push(self.columns.remove(place));
            self.rows.iter_mut().for_each(|row| drop(row.remove(&name)));
        }
    }

    fn restore_column(&mut self, random: &mut Random) {
        let Some(column) = self.gone.1.pop() else { return };
        if self.columns.iter().all(|other| other.name != column.name) {
            self.put_column(column, random);
        }
    }

    /// From now on a column gets values of a wider type, beginning with one row.
    fn widen(&mut self, random: &mut Random) {
        let place = random.below(self.columns.len());
        let column = &mut self.columns[place];
        column.kind = match column.kind {
            Kind::Int if column.name == DATE_FIELD => Kind::Int,
            Kind::Timestamp if column.name == DATE_FIELD => Kind::Timestamp,
            Kind::Int if self.spec.pk.contains(&column.name) => random.pick(&[Kind::Text, Kind::Code]),
            _ if self.spec.pk.contains(&column.name) => Kind::Text,
            Kind::Int => random.pick(&[Kind::Double, Kind::Comma]),
            Kind::Double => random.pick(&[Kind::Price, Kind::Repr, Kind::Text]),
            Kind::Price | Kind::Repr => random.pick(&[Kind::Double, Kind::Code, Kind::Comma]),
            Kind::Date => Kind::Timestamp,
            _ => Kind::Text,
        };
        self.change(random, true);
        self.insert(random);
    }
}

/// The text of a value; canonical, so that it reads the same whatever type its column has.
fn value(kind: Kind, number: usize) -> String {
    match kind {
        Kind::Bool => number.is_multiple_of(2).to_string(),
        Kind::Int => number.to_string(),
        Kind::Double => (number as f64 / 8.0).to_string(),
        Kind::Repr => format!("{:?}", number as f64 / 4.0),
        Kind::Comma => format!("{}{}5", number / 2, [",", "."][number % 2]),
        Kind::Price => format!("{}.{}0", number / 10, number % 10),
        Kind::Code => format!("{}.{}", number / 2, ["1", "10"][number % 2]),
        Kind::Date => format!("20{:02}-{:02}-{:02}", 10 + number / 336 % 80, 1 + number / 28 % 12, 1 + number % 28),
        Kind::Timestamp => format!("{} {:02}:30:00", value(Kind::Date, number), number % 24),
        Kind::Instant => value(Kind::Timestamp, number).replace(' ', "T") + "Z",
        Kind::Text => {
            let decorations = ["x", "a,b ", "two\nlines ", "say \"so\" ", "ação; ", "0"];
            format!("{}{number}", decorations[number % decorations.len()])
        }
    }
}
