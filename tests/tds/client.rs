//! tiberius as these tests use it.

use chrono::{Duration, NaiveDate, NaiveDateTime, NaiveTime};
use tiberius::{AuthMethod, Client, ColumnData, Config, EncryptionLevel, time};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use crate::support::tds::Server;

pub(super) type Connection = Client<Compat<TcpStream>>;

/// Without encryption, as the user `reader` of `shop`.
pub(super) fn config(server: &Server) -> Config {
    let mut config = Config::new();
    config.host("127.0.0.1");
    config.port(server.address().port());
    config.database("shop");
    config.authentication(AuthMethod::sql_server("reader", "s3cret{}ö"));
    config.encryption(EncryptionLevel::NotSupported);
    config
}

pub(super) async fn connect(config: Config) -> tiberius::Result<Connection> {
    let socket = TcpStream::connect(config.get_addr()).await?;
    Box::pin(Client::connect(config, socket.compat_write())).await
}

/// A value as the text that a person would write; `None` for NULL.
pub(super) fn text(data: &ColumnData<'_>) -> Option<String> {
    match data {
        ColumnData::Bit(value) => value.map(|bit| bit.to_string()),
        ColumnData::U8(value) => value.map(|number| number.to_string()),
        ColumnData::I16(value) => value.map(|number| number.to_string()),
        ColumnData::I32(value) => value.map(|number| number.to_string()),
        ColumnData::I64(value) => value.map(|number| number.to_string()),
        ColumnData::F32(value) => value.map(|number| format!("{:08X}", number.to_bits())),
        ColumnData::F64(value) => value.map(|number| format!("{:016X}", number.to_bits())),
        ColumnData::String(value) => value.as_ref().map(ToString::to_string),
        ColumnData::Xml(value) => value.as_ref().map(ToString::to_string),
        ColumnData::Guid(value) => value.map(|guid| guid.to_string().to_uppercase()),
        ColumnData::Binary(value) => {
            value.as_ref().map(|bytes| bytes.iter().map(|byte| format!("{byte:02X}")).collect())
        }
        ColumnData::Numeric(value) => value.map(|number| decimal(number.value(), usize::from(number.scale()))),
        ColumnData::Date(value) => value.map(|date| day(date).to_string()),
        ColumnData::Time(value) => value.map(|time| clock(time).format("%H:%M:%S%.9f").to_string()[..16].to_owned()),
        ColumnData::DateTime2(value) => value.map(|instant| seven_digits(datetime(instant))),
        ColumnData::DateTimeOffset(value) => value.map(|instant| {
            let minutes = instant.offset();
            let local = datetime(instant.datetime2()) + Duration::minutes(i64::from(minutes));
            let (sign, minutes) = (if minutes < 0 { '-' } else { '+' }, minutes.unsigned_abs());
            format!("{} {sign}{:02}:{:02}", seven_digits(local), minutes / 60, minutes % 60)
        }),
        ColumnData::DateTime(value) => value.map(|instant| {
            let millis = (i64::from(instant.seconds_fragments()) * 10 + 1) / 3;
            from_1900(i64::from(instant.days()), Duration::milliseconds(millis))
        }),
        ColumnData::SmallDateTime(value) => value.map(|instant| {
            from_1900(i64::from(instant.days()), Duration::minutes(i64::from(instant.seconds_fragments())))
        }),
    }
}

fn decimal(value: i128, scale: usize) -> String {
    let digits = format!("{:0width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{}{whole}{}{fraction}", if value < 0 { "-" } else { "" }, if scale > 0 { "." } else { "" })
}

fn day(date: time::Date) -> NaiveDate {
    NaiveDate::from_ymd_opt(1, 1, 1).unwrap() + Duration::days(i64::from(date.days()))
}

fn clock(time: time::Time) -> NaiveTime {
    let nanos = time.increments() * 10_u64.pow(9 - u32::from(time.scale()));
    NaiveTime::from_num_seconds_from_midnight_opt((nanos / 1_000_000_000) as u32, (nanos % 1_000_000_000) as u32)
        .unwrap()
}

fn datetime(instant: time::DateTime2) -> NaiveDateTime {
    day(instant.date()).and_time(clock(instant.time()))
}

fn seven_digits(instant: NaiveDateTime) -> String {
    instant.format("%Y-%m-%d %H:%M:%S%.9f").to_string()[..27].to_owned()
}

fn from_1900(days: i64, time: Duration) -> String {
    let midnight = NaiveDate::from_ymd_opt(1900, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap();
    (midnight + Duration::days(days) + time).format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}
