//! Every text that is sent to a server. Each begins with a comment that names it, for whoever reads the server's traces.
//!
//! Names come from the server's catalog and are quoted by [`quote`]; values are parameters, LSNs as binary ones.
//!
//! The catalog (`sys.…`) and the tables of change data capture (`cdc.…`) may have two collations: in Azure SQL Database, and
//! in a contained database, with a collation of its own. Where texts of both meet, the text says which one holds, because
//! the server refuses to choose (errors 468 and 451).

use std::time::Duration;

/// A name as SQL writes it.
pub(super) fn quote(name: &str) -> String {
    format!("[{}]", name.replace(']', "]]"))
}

/// The settings of a session, and two facts as bits: whether SNAPSHOT isolation is allowed, whether the server can name its
/// time zone.
///
/// A query of ours is the one to lose a deadlock: the capture job must not.
pub(super) fn session(lock_timeout: Duration) -> String {
    format!(
        "/* cdc-to-s3: session */ SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, \
         QUOTED_IDENTIFIER ON; SET NUMERIC_ROUNDABORT OFF; SET IMPLICIT_TRANSACTIONS OFF; SET XACT_ABORT ON; \
         SET TEXTSIZE 2147483647; SET DEADLOCK_PRIORITY LOW; SET LOCK_TIMEOUT {}; \
         SELECT CAST(CASE WHEN snapshot_isolation_state = 1 THEN 1 ELSE 0 END AS bit), \
         CAST(CASE WHEN CAST(SERVERPROPERTY('EngineEdition') AS int) IN (5, 8) \
         OR CAST(SERVERPROPERTY('ProductMajorVersion') AS int) >= 16 \
         AND CAST(SERVERPROPERTY('EngineEdition') AS int) IN (2, 3, 4) THEN 1 ELSE 0 END AS bit) \
         FROM sys.databases WHERE database_id = DB_ID()",
        lock_timeout.as_millis()
    )
}

/// Each query of the session sees one instant, and waits for no lock.
pub(super) const SNAPSHOT_ISOLATION: &str = "/* cdc-to-s3: isolation */ SET TRANSACTION ISOLATION LEVEL SNAPSHOT";

/// The database and its condition: server, name, CDC on, SNAPSHOT allowed, clock in UTC, whether bit 1 of an update mask is
/// in its last byte, clock in local time.
pub(super) const DATABASE: &str = "/* cdc-to-s3: database */ \
    SELECT COALESCE(N'availability group ' + CAST(d.group_database_id AS nvarchar(36)), \
    CAST(SERVERPROPERTY('ServerName') AS nvarchar(256)), N''), d.name, d.is_cdc_enabled, \
    CAST(CASE WHEN d.snapshot_isolation_state = 1 THEN 1 ELSE 0 END AS bit), SYSUTCDATETIME(), \
    CAST(sys.fn_cdc_is_bit_set(1, 0x0001) AS bit), SYSDATETIME() \
    FROM sys.databases AS d WHERE d.database_id = DB_ID()";

/// The restore lineage. Needs a permission that a reader of changes may lack.
pub(super) const RECOVERY_FORK: &str = "/* cdc-to-s3: recovery fork */ \
    SELECT CAST(recovery_fork_guid AS nvarchar(36)) FROM sys.database_recovery_status WHERE database_id = DB_ID()";

/// How many minutes the clean-up job keeps changes. The jobs of Azure SQL Database are in the database itself, those of
/// other servers in `msdb`, which may be closed to a reader of changes; a name that is not there is only looked up when its
/// turn comes.
pub(super) const RETENTION: &str = "/* cdc-to-s3: retention */ \
    IF CAST(SERVERPROPERTY('EngineEdition') AS int) = 5 \
    EXEC(N'SELECT MAX(CAST(retention AS bigint)) FROM cdc.cdc_jobs WHERE job_type = N''cleanup''') \
    ELSE EXEC(N'SELECT MAX(CAST(retention AS bigint)) FROM msdb.dbo.cdc_jobs \
    WHERE database_id = DB_ID() AND job_type = N''cleanup''')";

/// The errors of the capture job's last sessions: their count, and number and time of the newest. Never their text, which
/// may quote a cell. Needs a permission that a reader of changes may lack.
pub(super) const CAPTURE_ERRORS: &str = "/* cdc-to-s3: capture errors */ \
    SELECT TOP (1) COUNT_BIG(*) OVER (), error_number, CAST(entry_time AS datetime2(3)) \
    FROM sys.dm_cdc_errors ORDER BY entry_time DESC";

/// The captured columns of each instance that this login may not read in the source table.
pub(super) const DENIED_COLUMNS: &str = "/* cdc-to-s3: denied columns */ \
    SELECT ct.object_id, sc.name FROM cdc.change_tables AS ct \
    JOIN cdc.captured_columns AS cc ON cc.object_id = ct.object_id \
    JOIN sys.columns AS sc ON sc.object_id = ct.source_object_id AND sc.column_id = cc.column_id \
    JOIN sys.objects AS o ON o.object_id = ct.source_object_id \
    JOIN sys.schemas AS s ON s.schema_id = o.schema_id \
    WHERE COALESCE(HAS_PERMS_BY_NAME(QUOTENAME(s.name) + N'.' + QUOTENAME(o.name), N'OBJECT', N'SELECT', \
    sc.name, N'COLUMN'), 0) = 0 ORDER BY ct.object_id, cc.column_ordinal";

/// The capture instances, their columns, their keys, and the columns that they leave out: four results.
///
/// A type is taken from the change table, or from the query function where the table may not be seen. For the system's CLR
/// types, which share one `system_type_id`, the user type names the type; an alias is named by what it stands for.
///
/// The key is that of the index which change data capture was told of, by default the primary key. Where there was none, it
/// is the first unique index over columns that are all captured and never NULL, the primary key before others: a table may
/// have got one since.
pub(super) const INSTANCES: &str = "/* cdc-to-s3: instances */ \
    SELECT ct.object_id, ct.capture_instance, ct.source_object_id, s.name, o.name, ct.start_lsn, \
    CAST(ct.create_date AS datetime2(3)), ct.role_name, \
    CAST(CASE WHEN HAS_PERMS_BY_NAME(N'cdc.' + QUOTENAME(ct.capture_instance + N'_CT'), N'OBJECT', N'SELECT') = 1 \
    THEN 1 ELSE 0 END AS bit), \
    CAST(CASE WHEN EXISTS (SELECT 1 FROM sys.columns AS x WHERE x.object_id = ct.object_id \
    AND x.name = N'__$command_id') THEN 1 ELSE 0 END AS bit) \
    FROM cdc.change_tables AS ct \
    LEFT JOIN sys.objects AS o ON o.object_id = ct.source_object_id \
    LEFT JOIN sys.schemas AS s ON s.schema_id = o.schema_id \
    ORDER BY ct.object_id; \
    SELECT cc.object_id, cc.column_name, cc.column_ordinal, CAST(cc.is_computed AS bit), \
    COALESCE(t.name COLLATE DATABASE_DEFAULT, f.type_name COLLATE DATABASE_DEFAULT, \
    cc.column_type COLLATE DATABASE_DEFAULT), COALESCE(c.max_length, f.max_length), \
    COALESCE(c.precision, f.precision), COALESCE(c.scale, f.scale), COALESCE(c.collation_name, f.collation_name), \
    CAST(COLLATIONPROPERTY(COALESCE(c.collation_name, f.collation_name), 'CodePage') AS int), sc.name \
    FROM cdc.captured_columns AS cc \
    JOIN cdc.change_tables AS ct ON ct.object_id = cc.object_id \
    LEFT JOIN sys.columns AS c ON c.object_id = cc.object_id AND c.name COLLATE DATABASE_DEFAULT = cc.column_name \
    LEFT JOIN sys.types AS t ON t.user_type_id = \
    CASE WHEN c.system_type_id = 240 THEN c.user_type_id ELSE c.system_type_id END \
    OUTER APPLY (SELECT ft.name AS type_name, fc.max_length, fc.precision, fc.scale, fc.collation_name \
    FROM sys.columns AS fc JOIN sys.types AS ft ON ft.user_type_id = \
    CASE WHEN fc.system_type_id = 240 THEN fc.user_type_id ELSE fc.system_type_id END \
    WHERE fc.object_id = OBJECT_ID(N'cdc.' + QUOTENAME(N'fn_cdc_get_all_changes_' + ct.capture_instance)) \
    AND fc.name COLLATE DATABASE_DEFAULT = cc.column_name) AS f \
    LEFT JOIN sys.columns AS sc ON sc.object_id = ct.source_object_id AND sc.column_id = cc.column_id \
    ORDER BY cc.object_id, cc.column_ordinal; \
    SELECT k.object_id, k.column_name FROM (\
    SELECT ic.object_id, ic.column_name, CAST(ic.index_ordinal AS int) AS ordinal FROM cdc.index_columns AS ic \
    UNION ALL SELECT ct.object_id, cc.column_name, CAST(xc.key_ordinal AS int) FROM cdc.change_tables AS ct \
    CROSS APPLY (SELECT TOP (1) i.index_id FROM sys.indexes AS i \
    WHERE i.object_id = ct.source_object_id AND i.is_unique = 1 AND i.is_disabled = 0 AND i.is_hypothetical = 0 \
    AND i.has_filter = 0 AND NOT EXISTS (SELECT 1 FROM sys.index_columns AS x \
    JOIN sys.columns AS c ON c.object_id = x.object_id AND c.column_id = x.column_id \
    LEFT JOIN cdc.captured_columns AS held ON held.object_id = ct.object_id AND held.column_id = x.column_id \
    WHERE x.object_id = i.object_id AND x.index_id = i.index_id AND x.key_ordinal > 0 \
    AND (c.is_nullable = 1 OR c.is_computed = 1 OR held.column_id IS NULL)) \
    ORDER BY i.is_primary_key DESC, i.index_id) AS u \
    JOIN sys.index_columns AS xc ON xc.object_id = ct.source_object_id AND xc.index_id = u.index_id AND xc.key_ordinal > 0 \
    JOIN cdc.captured_columns AS cc ON cc.object_id = ct.object_id AND cc.column_id = xc.column_id \
    WHERE NOT EXISTS (SELECT 1 FROM cdc.index_columns AS own WHERE own.object_id = ct.object_id)\
    ) AS k ORDER BY k.object_id, k.ordinal; \
    SELECT ct.object_id, sc.name FROM cdc.change_tables AS ct \
    JOIN sys.columns AS sc ON sc.object_id = ct.source_object_id \
    WHERE NOT EXISTS (SELECT 1 FROM cdc.captured_columns AS cc WHERE cc.object_id = ct.object_id \
    AND cc.column_id = sc.column_id) ORDER BY ct.object_id, sc.column_id";

/// The end of what the capture job has read of the log.
pub(super) const MAX_LSN: &str = "/* cdc-to-s3: max lsn */ SELECT sys.fn_cdc_get_max_lsn()";

/// The low end of the instance `@P1`.
pub(super) const MIN_LSN: &str = "/* cdc-to-s3: min lsn */ SELECT sys.fn_cdc_get_min_lsn(@P1)";

/// The last of the `@P3` commits that follow `@P1`, up to `@P2`, and how many they are. Entries of an idle capture job,
/// which belong to no transaction, do not count.
pub(super) const WINDOW_END: &str = "/* cdc-to-s3: window end */ \
    SELECT MAX(w.start_lsn), CAST(COUNT(*) AS bigint) FROM (SELECT TOP (@P3) start_lsn FROM cdc.lsn_time_mapping \
    WHERE start_lsn > CONVERT(binary(10), @P1) AND start_lsn <= CONVERT(binary(10), @P2) AND tran_id <> 0x00 \
    ORDER BY start_lsn) AS w";

/// The last commit before the time `@P1`, which is a text with an offset.
pub(super) fn last_commit_before(knows_time_zone: bool) -> String {
    let time = "CAST(@P1 AS datetimeoffset(3))";
    let local = if knows_time_zone {
        format!("{time} AT TIME ZONE CURRENT_TIMEZONE_ID()")
    } else {
        format!("SWITCHOFFSET({time}, DATEPART(tz, SYSDATETIMEOFFSET()))")
    };
    format!(
        "/* cdc-to-s3: time to lsn */ SELECT sys.fn_cdc_map_time_to_lsn('largest less than', CAST({local} AS datetime))"
    )
}

/// The server's clock.
pub(super) const CLOCK: &str = "/* cdc-to-s3: clock */ SELECT SYSUTCDATETIME()";

/// Commits between `@P1` and `@P2`, with their times: in the server's local time, and in UTC.
pub(super) fn commits_between(knows_time_zone: bool) -> String {
    format!(
        "/* cdc-to-s3: commits */ SELECT start_lsn, {} FROM cdc.lsn_time_mapping WHERE start_lsn BETWEEN \
         CONVERT(binary(10), @P1) AND CONVERT(binary(10), @P2) AND tran_id <> 0x00 ORDER BY start_lsn",
        utc("tran_end_time", knows_time_zone)
    )
}

/// The `count` commits that are the parameters, with their times: in the server's local time, and in UTC.
pub(super) fn commit_times(count: usize, knows_time_zone: bool) -> String {
    let lsns: Vec<String> = (1..=count).map(|number| format!("CONVERT(binary(10), @P{number})")).collect();
    format!(
        "/* cdc-to-s3: commit times */ SELECT start_lsn, CAST(tran_end_time AS datetime2(3)), {} \
         FROM cdc.lsn_time_mapping WHERE start_lsn IN ({})",
        utc("tran_end_time", knows_time_zone),
        lsns.join(", ")
    )
}

/// The changes of an instance between `@P1` and `@P2`, from the change table, in the order in which they were made, and then
/// their number.
pub(super) fn changes_of_table(instance: &str, columns: &str, with_before: bool) -> String {
    let table = quote(&format!("{instance}_CT"));
    let filter = if with_before { "" } else { " AND __$operation <> 3" };
    format!(
        "/* cdc-to-s3: changes */ SELECT __$start_lsn, __$seqval, __$operation, __$update_mask, __$command_id{columns} \
         FROM cdc.{table} WHERE __$start_lsn BETWEEN CONVERT(binary(10), @P1) AND CONVERT(binary(10), @P2){filter} \
         ORDER BY __$start_lsn, __$command_id, __$seqval, __$operation; SELECT ROWCOUNT_BIG()"
    )
}

/// The same from the query function, which knows no command id.
pub(super) fn changes_of_function(instance: &str, columns: &str, with_before: bool) -> String {
    let function = quote(&format!("fn_cdc_get_all_changes_{instance}"));
    let filter = if with_before { "all update old" } else { "all" };
    format!(
        "/* cdc-to-s3: changes */ SELECT __$start_lsn, __$seqval, __$operation, __$update_mask, CAST(NULL AS int){columns} \
         FROM cdc.{function}(CONVERT(binary(10), @P1), CONVERT(binary(10), @P2), N'{filter}') \
         ORDER BY __$start_lsn, __$seqval, __$operation; SELECT ROWCOUNT_BIG()"
    )
}

/// Begins a transaction whose instant is that of its first look at the table, and says the clock after it.
pub(super) fn begin_at(table: &str) -> String {
    format!(
        "/* cdc-to-s3: begin */ BEGIN TRANSACTION; DECLARE @seen int = (SELECT COUNT(*) FROM (SELECT TOP (1) 1 AS x \
         FROM {table}) AS t); SELECT SYSUTCDATETIME()"
    )
}

/// Ends that transaction.
pub(super) const COMMIT: &str = "/* cdc-to-s3: end */ IF @@TRANCOUNT > 0 COMMIT TRANSACTION";

/// The rows of a table, and then their number. `condition` and `order` are empty for a table without a key.
pub(super) fn rows(table: &str, columns: &str, condition: &str, order: &str) -> String {
    format!("/* cdc-to-s3: rows */ SELECT {columns} FROM {table}{condition}{order}; SELECT ROWCOUNT_BIG()")
}

/// A time of the server's clock in UTC. A server that cannot name its zone tells only today's offset, which is an hour off
/// for what was written before the clocks were changed.
fn utc(local: &str, knows_time_zone: bool) -> String {
    if knows_time_zone {
        format!("CAST({local} AT TIME ZONE CURRENT_TIMEZONE_ID() AT TIME ZONE 'UTC' AS datetime2(3))")
    } else {
        format!("CAST(DATEADD(minute, -DATEPART(tz, SYSDATETIMEOFFSET()), {local}) AS datetime2(3))")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Azure SQL Database (edition 5) and Managed Instance (8) know `CURRENT_TIMEZONE_ID` whatever their version says, which is
    /// that of a much older SQL Server.
    #[test]
    fn the_services_of_azure_are_asked_for_their_time_zone_whatever_their_version() {
        let text = session(Duration::from_secs(1));
        assert!(text.contains("WHEN CAST(SERVERPROPERTY('EngineEdition') AS int) IN (5, 8) OR CAST"), "{text}");
        assert!(text.contains(">= 16 AND CAST(SERVERPROPERTY('EngineEdition') AS int) IN (2, 3, 4) THEN 1"), "{text}");
    }
}
