//! The rules against a SQL Server of Microsoft's, where there is one.
//!
//! `CDC_TEST_SQLSERVER` says where: `sqlserver://user:password@host:port`, with a login that may create databases and enable
//! change data capture. Behind `?ca=` may come the path of the certificates to trust; without, the line is not encrypted.
//! Without the variable the test says that it was skipped. The database that it makes has a name of its own and is dropped at
//! the end; after a failure it stays, to be looked at.

use std::sync::Arc;
use std::time::Duration;

use cdc_to_s3::config::{Encryption, SqlServerConnection, TimesAsText};
use cdc_to_s3::report::{Report, TableReport, TableStatus};
use cdc_to_s3::secrets::{LoginCache, Secret, SqlServerLogin};
use cdc_to_s3::source::sqlserver::tds::{Settings, TdsServer};
use tiberius::{AuthMethod, Client, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use super::Job;
use crate::support::lake;

const VARIABLE: &str = "CDC_TEST_SQLSERVER";

/// Collations with rules of their own for `i` and `I`, where upper and lower case differ: not those of the catalog in Azure.
const CREATE: &str = "CREATE DATABASE [{}] COLLATE Turkish_100_CS_AS";

const TABLES: &str = "\
    CREATE TABLE dbo.t (id bigint NOT NULL PRIMARY KEY, a nvarchar(40) NULL, note nvarchar(max) NULL); \
    CREATE TABLE dbo.u (id int NOT NULL, k nvarchar(20) NOT NULL, v xml NULL); \
    CREATE UNIQUE INDEX u_k ON dbo.u (k, id); \
    CREATE TABLE dbo.h (a int NULL); \
    INSERT INTO dbo.t VALUES (1, N'a', N'n'), (2, NULL, NULL), (3, N'c', N'n'); \
    INSERT INTO dbo.u VALUES (1, N'x', N'<a/>'), (2, N'y', NULL); \
    INSERT INTO dbo.h VALUES (NULL), (7)";

/// The server, and a login that may do everything that the test does.
struct Place {
    user: String,
    password: String,
    host: String,
    port: u16,
    ca: Option<String>,
}

impl Place {
    fn of(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("sqlserver://")?;
        let (rest, ca) = rest.split_once("?ca=").map_or((rest, None), |(rest, ca)| (rest, Some(ca.to_owned())));
        let (login, server) = rest.rsplit_once('@')?;
        let (user, password) = login.split_once(':')?;
        let (host, port) = server.trim_end_matches('/').rsplit_once(':').unwrap_or((server, "1433"));
        let [user, password, host] = [user, password, host].map(str::to_owned);
        Some(Self { user, password, host, port: port.parse().ok()?, ca })
    }

    async fn connect(&self, database: &str) -> Client<Compat<TcpStream>> {
        let mut config = Config::new();
        config.host(&self.host);
        config.port(self.port);
        config.database(database);
        config.authentication(AuthMethod::sql_server(&self.user, &self.password));
        match &self.ca {
            Some(path) => config.trust_cert_ca_bundle(std::fs::read(path).unwrap()),
            None => config.encryption(EncryptionLevel::NotSupported),
        }
        let line = TcpStream::connect(config.get_addr()).await.unwrap();
        Box::pin(Client::connect(config, line.compat_write())).await.unwrap()
    }

    fn reader(&self, database: &str) -> TdsServer {
        let connection = SqlServerConnection {
            host: Some(self.host.clone()),
            port: Some(self.port),
            database: Some(database.to_owned()),
            secret_id: None,
            encryption: if self.ca.is_some() { Encryption::Required } else { Encryption::Off },
            trust_ca: None,
            host_in_certificate: None,
            read_only_intent: false,
        };
        let (username, password) = (self.user.clone(), Secret::new(&self.password));
        let login = SqlServerLogin { username, password, host: None, port: None, database: None };
        let trusted = self.ca.as_ref().map(|path| std::fs::read(path).unwrap());
        let login = Arc::new(LoginCache::fixed(login));
        TdsServer::new(connection, trusted, login, TimesAsText::default(), Settings::default())
    }
}

/// A database of the server, and a job that reads it.
struct Real {
    admin: Client<Compat<TcpStream>>,
    job: Job,
    minute: i64,
}

impl Real {
    async fn execute(&mut self, text: &str) {
        let answer = self.admin.simple_query(text).await.unwrap_or_else(|error| panic!("{text}: {error}"));
        answer.into_results().await.unwrap_or_else(|error| panic!("{text}: {error}"));
    }

    /// Lets the log be read, where the capture job does not do so by itself.
    async fn capture(&mut self) {
        let scan = self.admin.simple_query("EXEC sys.sp_cdc_scan @continuous = 0").await;
        // Refused while the capture job is reading.
        if let Ok(answer) = scan {
            let _ = answer.into_results().await;
        }
    }

    async fn run(&mut self) -> cdc_to_s3::Result<Report> {
        self.minute += 1;
        self.job.attempt(&*self.job.store, &lake::request(self.minute)).await
    }

    /// Runs until the report of a table is as wanted: the capture job takes its time.
    async fn until(&mut self, table: &str, is_wanted: impl Fn(&TableReport) -> bool) {
        let mut last = None;
        for _ in 0..60 {
            self.capture().await;
            let report = self.run().await.unwrap();
            let found = report.tables.into_iter().find(|found| found.name == table);
            if found.as_ref().is_some_and(&is_wanted) {
                return;
            }
            last = found;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("{table} came to {last:#?}");
    }
}

fn failed_with(code: &str) -> impl Fn(&TableReport) -> bool {
    move |report| report.error.as_ref().is_some_and(|error| error.code() == code)
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test process is a shell")]
async fn the_rules_hold_of_a_server_of_microsofts() {
    let Ok(text) = std::env::var(VARIABLE) else {
        eprintln!("SKIPPED: {VARIABLE} names no SQL Server to hold the rules against");
        return;
    };
    let place = Place::of(&text).unwrap_or_else(|| panic!("{VARIABLE} is not sqlserver://user:password@host:port"));
    let name = format!("cdc_to_s3_{}", std::process::id());
    let mut master = place.connect("master").await;
    master.simple_query(CREATE.replace("{}", &name)).await.unwrap().into_results().await.unwrap();
    let snapshots = format!("ALTER DATABASE [{name}] SET ALLOW_SNAPSHOT_ISOLATION ON");
    master.simple_query(snapshots).await.unwrap().into_results().await.unwrap();
    let job = Job { server: Arc::new(place.reader(&name)), ..Job::new() };
    let mut real = Real { admin: place.connect(&name).await, job, minute: 0 };

    assert_eq!(real.run().await.unwrap_err().code(), "CdcDisabled");
    real.execute("EXEC sys.sp_cdc_enable_db").await;
    real.execute(TABLES).await;
    for table in ["t", "u", "h"] {
        real.execute(&enable(table)).await;
    }
    let instances = real.job.server.instances().await.unwrap();
    let keys = |table: &str| {
        let found = instances.iter().find(|instance| instance.table == table).unwrap();
        (found.key.join(","), found.is_ordered)
    };
    assert_eq!([keys("t"), keys("u"), keys("h")].map(|(key, _)| key), ["id", "k,id", ""]);
    assert_eq!([keys("t"), keys("u"), keys("h")].map(|(_, ordered)| ordered), [true, true, false]);

    for (table, rows) in [("dbo.t", 3), ("dbo.u", 2), ("dbo.h", 2)] {
        let is_there = move |report: &TableReport| report.error.is_none() && report.status != TableStatus::NotReady;
        real.until(table, is_there).await;
        let loaded = real.job.verify().await.tables.into_iter().find(|found| found.name == table).unwrap();
        assert_eq!((loaded.rows, loaded.ok), (rows, true), "{loaded:?}");
    }
    real.execute(
        "UPDATE dbo.t SET a = N'z' WHERE id = 1; DELETE dbo.t WHERE id = 2; INSERT dbo.t VALUES (4, N'ı', NULL)",
    )
    .await;
    real.execute("UPDATE dbo.u SET id = id + 10").await;
    real.until("dbo.t", |report| report.error.is_none() && report.status == TableStatus::Unchanged).await;
    let verified = real.job.verify().await;
    let events = verified.tables.iter().find(|found| found.name == "dbo.t").unwrap().events;
    assert!(verified.ok && events >= 3, "{verified:#?}");

    // Changes that nobody has read are cleaned away.
    real.execute("INSERT dbo.u VALUES (50, N'lost', NULL)").await;
    for _ in 0..30 {
        real.capture().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    real.execute("INSERT dbo.u VALUES (51, N'kept', NULL)").await;
    for _ in 0..30 {
        real.capture().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    real.execute(
        "DECLARE @low binary(10) = sys.fn_cdc_get_max_lsn(); \
         EXEC sys.sp_cdc_cleanup_change_table @capture_instance = N'dbo_u', @low_water_mark = @low",
    )
    .await;
    real.until("dbo.u", failed_with("ChangesLost")).await;
    real.until("dbo.t", |report| report.error.is_none()).await;

    // An instance that was dropped and made again is another one.
    let disable =
        "EXEC sys.sp_cdc_disable_table @source_schema = N'dbo', @source_name = N't', @capture_instance = N'dbo_t'";
    real.execute(disable).await;
    real.until("dbo.t", failed_with("InstanceMissing")).await;
    real.execute(&enable("t")).await;
    real.execute("INSERT dbo.t VALUES (5, N'e', NULL)").await;
    real.until("dbo.t", failed_with("InstanceRecreated")).await;

    drop(real);
    let end = format!("ALTER DATABASE [{name}] SET SINGLE_USER WITH ROLLBACK IMMEDIATE; DROP DATABASE [{name}]");
    master.simple_query(end).await.unwrap().into_results().await.unwrap();
}

fn enable(table: &str) -> String {
    format!("EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'{table}', @role_name = NULL")
}

#[test]
fn the_place_of_a_server_is_taken_apart() {
    let place = Place::of("sqlserver://sa:p:w@rd@db.example:14330?ca=/ca.pem").unwrap();
    let parts = (place.user.as_str(), place.password.as_str(), place.host.as_str(), place.port, place.ca.as_deref());
    assert_eq!(parts, ("sa", "p:w@rd", "db.example", 14330, Some("/ca.pem")));
    assert_eq!(Place::of("sqlserver://sa:pw@db").unwrap().port, 1433);
    assert!(Place::of("db.example").is_none() && Place::of("sqlserver://sa@db").is_none());
}
