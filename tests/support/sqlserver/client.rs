//! The real client, at the stand-in.

use std::sync::Arc;

use cdc_to_s3::config::{Encryption, SqlServerConnection, TimesAsText};
use cdc_to_s3::secrets::{LoginCache, Secret, SqlServerLogin};
use cdc_to_s3::source::sqlserver::tds::{Settings, TdsServer};

use super::super::tds::Server;

/// A client without encryption, as the user `reader`.
pub(crate) fn client(line: &Server, database: &str, password: &str, settings: Settings) -> TdsServer {
    let connection = SqlServerConnection {
        host: Some("127.0.0.1".to_owned()),
        port: Some(line.address().port()),
        database: Some(database.to_owned()),
        secret_id: None,
        encryption: Encryption::Off,
        trust_ca: None,
        host_in_certificate: None,
        read_only_intent: false,
    };
    let (username, password) = ("reader".to_owned(), Secret::new(password));
    let login = SqlServerLogin { username, password, host: None, port: None, database: None };
    TdsServer::new(connection, None, Arc::new(LoginCache::fixed(login)), TimesAsText::default(), settings)
}
