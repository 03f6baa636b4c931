//! A database with change data capture, in memory: transactions that overlap, a capture job that lags, a clean-up job,
//! capture instances that come and go, restores. It keeps the truth beside what the reader may see.

mod server;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cdc_to_s3::source::sqlserver::{Lsn, OrderGrade};
use chrono::{DateTime, TimeDelta, Utc};

/// The questions that a hook can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Instances,
    MinLsn,
    Changes,
    /// After so many batches of an answer were given.
    AfterBatch,
    Rows,
}

/// A row: the key, then the other columns by name; a column that is not there is NULL.
pub(crate) type Cells = BTreeMap<String, String>;

/// What a statement does.
#[derive(Clone, Debug)]
pub(crate) enum Statement {
    /// Inserts the row, or updates the one with that key.
    Put(i64, Cells),
    /// Deletes the row, if it is there.
    Delete(i64),
}

/// A change as the change table has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    pub(crate) commit: Lsn,
    pub(crate) command: i32,
    pub(crate) sequence: Lsn,
    pub(crate) operation: u8,
    pub(crate) key: i64,
    pub(crate) cells: Cells,
    /// The columns that the statement set.
    pub(crate) set: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) table: String,
    pub(crate) source_object_id: i32,
    pub(crate) object_id: i32,
    pub(crate) created: DateTime<Utc>,
    pub(crate) start: Option<Lsn>,
    /// The commit that made it.
    enabled: Lsn,
    pub(crate) columns: Vec<String>,
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
struct Table {
    object_id: i32,
    columns: Vec<String>,
    rows: BTreeMap<i64, Cells>,
}

/// A transaction that was committed and that the capture job has yet to read.
#[derive(Clone, Debug)]
struct Commit {
    lsn: Lsn,
    time: DateTime<Utc>,
    changes: Vec<(String, Change)>,
}

/// A transaction that is open: its statements have their places in the log already.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    statements: Vec<(String, Lsn, Statement)>,
}

/// What a backup holds.
#[derive(Clone, Debug)]
pub(crate) struct Backup(World);

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: DateTime<Utc>,
    pub(crate) cdc_enabled: bool,
    pub(crate) agent: bool,
    pub(crate) fork: Option<String>,
    pub(crate) server_name: String,
    pub(crate) snapshot_isolation: bool,
    /// Whether the login may read the change tables.
    pub(crate) permitted: bool,
    pub(crate) grade: OrderGrade,
    pub(crate) has_key: bool,
    /// The clean-up job's setting, where the login may see it.
    pub(crate) retention_minutes: Option<i64>,
    /// Numbers and times, oldest first, where the login may see them.
    pub(crate) capture_errors: Option<Vec<(i64, DateTime<Utc>)>>,
    /// Whether the server keeps such errors at all.
    pub(crate) keeps_capture_errors: bool,
    /// Whether the login may read the tables themselves.
    pub(crate) may_read_tables: bool,
    pub(crate) batch_rows: usize,
    /// The most transactions in one window, whatever is asked for.
    pub(crate) window_transactions: u32,
    log: u64,
    objects: i32,
    tables: BTreeMap<String, Table>,
    pub(crate) instances: Vec<Instance>,
    waiting: VecDeque<Commit>,
    mapping: BTreeMap<Lsn, DateTime<Utc>>,
    /// Every change that an instance has ever captured, by table.
    truth: BTreeMap<String, Vec<Change>>,
}

type Hook = Box<dyn FnOnce(&mut World) + Send>;

/// The database, and what is to happen while it is being asked.
pub(crate) struct Model {
    world: Mutex<World>,
    hooks: Mutex<VecDeque<(Question, Hook)>>,
    faults: Mutex<VecDeque<(Question, cdc_to_s3::Error)>>,
    asked: Mutex<Vec<Question>>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Model")
    }
}

/// The LSN with this number.
pub(crate) fn lsn(number: u64) -> Lsn {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    Lsn::new(bytes)
}

/// Cells from pairs.
pub(crate) fn cells(pairs: &[(&str, &str)]) -> Cells {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

impl Model {
    /// An empty database whose change data capture is on.
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        let world = World {
            now,
            cdc_enabled: true,
            agent: true,
            fork: Some("fork-1".to_owned()),
            server_name: "server-1".to_owned(),
            snapshot_isolation: true,
            permitted: true,
            grade: OrderGrade::Command,
            has_key: true,
            retention_minutes: Some(4320),
            capture_errors: Some(Vec::new()),
            keeps_capture_errors: true,
            may_read_tables: true,
            batch_rows: 3,
            window_transactions: u32::MAX,
            log: 1000,
            objects: 100,
            tables: BTreeMap::new(),
            instances: Vec::new(),
            waiting: VecDeque::new(),
            mapping: BTreeMap::new(),
            truth: BTreeMap::new(),
        };
        Self { world: Mutex::new(world), hooks: Mutex::default(), faults: Mutex::default(), asked: Mutex::default() }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens right before the next answer to `question`; several are used up in their order.
    pub(crate) fn hook(&self, question: Question, hook: impl FnOnce(&mut World) + Send + 'static) {
        self.hooks.lock().unwrap().push_back((question, Box::new(hook)));
    }

    /// The next answer to `question` is this error.
    pub(crate) fn fail(&self, question: Question, error: cdc_to_s3::Error) {
        self.faults.lock().unwrap().push_back((question, error));
    }

    /// How often something was asked.
    pub(crate) fn asked(&self, question: Question) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| **asked == question).count()
    }

    fn ask(&self, question: Question) -> cdc_to_s3::Result<()> {
        self.asked.lock().unwrap().push(question);
        let mut hooks = self.hooks.lock().unwrap();
        if hooks.front().is_some_and(|(wanted, _)| *wanted == question)
            && let Some((_, hook)) = hooks.pop_front()
        {
            hook(&mut self.world());
        }
        let mut faults = self.faults.lock().unwrap();
        if faults.front().is_some_and(|(wanted, _)| *wanted == question)
            && let Some((_, error)) = faults.pop_front()
        {
            return Err(error);
        }
        Ok(())
    }
}

impl World {
    /// Makes a table, which is not tracked yet, with a key `id` and these other columns.
    pub(crate) fn create(&mut self, table: &str, columns: &[&str]) {
        let columns = columns.iter().map(|&name| name.to_owned()).collect();
        let object_id = self.object();
        self.tables.insert(table.to_owned(), Table { object_id, columns, rows: BTreeMap::new() });
    }

    pub(crate) fn drop_table(&mut self, table: &str) {
        self.tables.remove(table);
        self.instances.retain(|instance| instance.table != table);
    }

    /// The table keeps its object ids and its instances their names.
    pub(crate) fn rename(&mut self, table: &str, name: &str) {
        let renamed = self.tables.remove(table).unwrap();
        self.tables.insert(name.to_owned(), renamed);
        for instance in self.instances.iter_mut().filter(|instance| instance.table == table) {
            instance.table = name.to_owned();
        }
    }

    pub(crate) fn add_column(&mut self, table: &str, column: &str) {
        self.tables.get_mut(table).unwrap().columns.push(column.to_owned());
    }

    /// Tracks a table; the instance gets its start when the capture job comes by.
    pub(crate) fn enable(&mut self, table: &str, name: &str) {
        let (object_id, enabled) = (self.object(), self.next());
        let source = &self.tables[table];
        let instance = Instance {
            enabled,
            name: name.to_owned(),
            table: table.to_owned(),
            source_object_id: source.object_id,
            object_id,
            created: self.now,
            start: None,
            columns: source.columns.clone(),
            changes: Vec::new(),
        };
        self.instances.push(instance);
        // The enabling is a transaction of its own.
        self.waiting.push_back(Commit { lsn: enabled, time: self.now, changes: Vec::new() });
    }

    pub(crate) fn disable(&mut self, name: &str) {
        self.instances.retain(|instance| instance.name != name);
    }

    /// Puts a statement into an open transaction.
    pub(crate) fn execute(&mut self, transaction: &mut Transaction, table: &str, statement: Statement) {
        let place = self.next();
        transaction.statements.push((table.to_owned(), place, statement));
    }

    /// Commits: only now do the rows change, and this is the transaction's place in the order.
    pub(crate) fn commit(&mut self, transaction: Transaction) {
        let commit = self.next();
        let mut changes = Vec::new();
        for (command, (table, place, statement)) in (1..).zip(transaction.statements) {
            changes
                .extend(self.apply(&table, commit, command, place, statement).into_iter().map(|c| (table.clone(), c)));
        }
        self.waiting.push_back(Commit { lsn: commit, time: self.now, changes });
    }

    /// A transaction of its own.
    pub(crate) fn run(&mut self, table: &str, statements: impl IntoIterator<Item = Statement>) {
        let mut transaction = Transaction::default();
        for statement in statements {
            self.execute(&mut transaction, table, statement);
        }
        self.commit(transaction);
    }

    fn apply(&mut self, table: &str, commit: Lsn, command: i32, sequence: Lsn, statement: Statement) -> Vec<Change> {
        let rows = &mut self.tables.get_mut(table).unwrap().rows;
        let change = |operation, key, cells: Cells, set: &Cells| Change {
            commit,
            command,
            sequence,
            operation,
            key,
            cells,
            set: set.keys().cloned().collect(),
        };
        match statement {
            Statement::Delete(key) => {
                rows.remove(&key).map(|old| change(1, key, old, &Cells::new())).into_iter().collect()
            }
            Statement::Put(key, cells) => match rows.get(&key).cloned() {
                None => {
                    rows.insert(key, cells.clone());
                    vec![change(2, key, cells.clone(), &cells)]
                }
                Some(old) => {
                    let mut new = old.clone();
                    new.extend(cells.clone());
                    rows.insert(key, new.clone());
                    vec![change(3, key, old, &cells), change(4, key, new, &cells)]
                }
            },
        }
    }

    /// The capture job reads so many more commits of the log; without any it notes that it has been here.
    pub(crate) fn capture(&mut self, commits: usize) {
        if !self.agent {
            return;
        }
        if self.waiting.is_empty() {
            let idle = self.next();
            self.mapping.insert(idle, self.now);
        }
        for _ in 0..commits.min(self.waiting.len()) {
            let commit = self.waiting.pop_front().unwrap();
            self.mapping.insert(commit.lsn, commit.time);
            for (table, change) in &commit.changes {
                if self.instances.iter().any(|i| i.table == *table && commit.lsn >= i.enabled) {
                    self.truth.entry(table.clone()).or_default().push(change.clone());
                }
            }
            for instance in self.instances.iter_mut().filter(|instance| commit.lsn >= instance.enabled) {
                instance.start.get_or_insert(commit.lsn);
                let mine = commit.changes.iter().filter(|(table, _)| *table == instance.table);
                instance.changes.extend(mine.map(|(_, change)| change.clone()));
            }
        }
    }

    pub(crate) fn capture_all(&mut self) {
        self.capture(self.waiting.len().max(1));
    }

    /// The clean-up job removes what was committed before the `keep` newest commits that are captured.
    pub(crate) fn clean_up(&mut self, keep: usize) {
        let Some(&low) = self.mapping.keys().rev().nth(keep) else { return };
        for instance in &mut self.instances {
            instance.start = instance.start.map(|start| start.max(low));
            instance.changes.retain(|change| change.commit >= low);
        }
        self.mapping.retain(|lsn, _| *lsn >= low);
    }

    pub(crate) fn max_lsn(&self) -> Option<Lsn> {
        self.mapping.keys().next_back().copied()
    }

    pub(crate) fn pass(&mut self, minutes: i64) {
        self.now += TimeDelta::minutes(minutes);
    }

    /// The rows of a table as they are now.
    pub(crate) fn rows(&self, table: &str) -> BTreeMap<i64, Cells> {
        self.tables[table].rows.clone()
    }

    /// What can still be read of an instance.
    pub(crate) fn changes(&self, name: &str) -> Vec<Change> {
        let instance = self.instances.iter().find(|instance| instance.name == name);
        instance.map(|instance| instance.changes.clone()).unwrap_or_default()
    }

    /// Every change of a table that was ever captured, in the order of the commits.
    pub(crate) fn truth(&self, table: &str) -> Vec<Change> {
        self.truth.get(table).cloned().unwrap_or_default()
    }

    pub(crate) fn back_up(&self) -> Backup {
        Backup(self.clone())
    }

    /// Goes back to a backup; the clock goes on, and the lineage is another one.
    pub(crate) fn restore(&mut self, backup: &Backup) {
        let now = self.now;
        let fork = self.fork.as_ref().map(|fork| format!("{fork}'"));
        *self = backup.0.clone();
        (self.now, self.fork) = (now, fork);
    }

    fn next(&mut self) -> Lsn {
        self.log += 8;
        lsn(self.log)
    }

    fn object(&mut self) -> i32 {
        self.objects += 1;
        self.objects
    }
}
