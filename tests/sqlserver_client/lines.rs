//! How the connection is made: encryption in both framings, certificates, what the login says.

use std::sync::Arc;

use cdc_to_s3::Kind;
use cdc_to_s3::config::{Encryption, SqlServerConnection, TimesAsText};
use cdc_to_s3::source::sqlserver::ChangeBatch;
use cdc_to_s3::source::sqlserver::tds::TdsServer;

use super::{changes, error, hasty, orders, stub};
use crate::support::tds::{self, Certificate, Line, Server};

async fn server(encryption: tds::Encryption, certificate: &Arc<Certificate>) -> Server {
    let certificate = Some(Arc::clone(certificate));
    let settings = tds::Settings { encryption, certificate, ..tds::Settings::default() };
    Server::start(settings, Arc::new(orders(100))).await.unwrap()
}

fn own() -> Arc<Certificate> {
    Arc::new(Certificate::new(&["db.example", "127.0.0.1"]).unwrap())
}

fn client(server: &Server, encryption: Encryption, authority: Option<&str>) -> TdsServer {
    let connection = SqlServerConnection { encryption, ..stub::connection(server.address().port()) };
    over(connection, authority)
}

fn over(connection: SqlServerConnection, authority: Option<&str>) -> TdsServer {
    let trusted = authority.map(|pem| pem.as_bytes().to_vec());
    TdsServer::new(connection, trusted, stub::login().into(), TimesAsText::default(), hasty())
}

#[tokio::test]
async fn each_kind_of_encryption_is_what_it_says() {
    let certificate = own();
    for (offered, wanted, line) in [
        (tds::Encryption::Forced, Encryption::Required, Line::Tls),
        (tds::Encryption::Possible, Encryption::Required, Line::Tls),
        (tds::Encryption::Strict, Encryption::Strict, Line::Strict),
        (tds::Encryption::Possible, Encryption::Off, Line::Plain),
        (tds::Encryption::NotSupported, Encryption::Off, Line::Plain),
    ] {
        let server = server(offered, &certificate).await;
        let batches = changes(&client(&server, wanted, Some(&certificate.authority))).await.unwrap();
        assert_eq!(batches.iter().map(ChangeBatch::len).sum::<usize>(), 100);
        assert_eq!(server.seen()[0].session.line, line, "{wanted:?}");
    }
}

#[tokio::test]
async fn a_server_without_encryption_never_sees_a_login_that_requires_it() {
    let certificate = own();
    let server = server(tds::Encryption::NotSupported, &certificate).await;
    let error = error(&client(&server, Encryption::Required, Some(&certificate.authority))).await;
    assert_eq!((error.kind(), error.code()), (Kind::Config, "SqlServerTls"));
    assert_eq!(server.logins(), []);
}

/// Before SQL Server 2022 nobody takes up a TLS handshake that comes first: that is no cut network.
#[tokio::test]
async fn a_server_that_does_not_know_strict_encryption_is_told_as_that() {
    let certificate = own();
    for offered in [tds::Encryption::Possible, tds::Encryption::Forced, tds::Encryption::NotSupported] {
        let server = server(offered, &certificate).await;
        let error = error(&client(&server, Encryption::Strict, Some(&certificate.authority))).await;
        assert_eq!((error.kind(), error.code()), (Kind::Config, "SqlServerTls"), "{offered:?}: {error:?}");
        assert!(error.to_string().contains("2022") && error.advice().unwrap().contains("`required`"), "{error:?}");
        assert_eq!(server.logins(), []);
    }
    // A login that is cut once TLS is up stays what it is.
    let server = server(tds::Encryption::Strict, &certificate).await;
    server.fault(tds::Stage::Login, tds::Fault::now(tds::Harm::Close));
    let error = error(&client(&server, Encryption::Strict, Some(&certificate.authority))).await;
    assert_eq!((error.kind(), error.code()), (Kind::Transient, "SqlServerCut"), "{error:?}");
}

#[tokio::test]
async fn a_strangers_certificate_is_refused_before_the_login() {
    let (certificate, stranger) = (own(), Certificate::new(&["127.0.0.1"]).unwrap());
    for (offered, wanted) in
        [(tds::Encryption::Forced, Encryption::Required), (tds::Encryption::Strict, Encryption::Strict)]
    {
        let server = server(offered, &certificate).await;
        for authority in [None, Some(stranger.authority.as_str())] {
            let error = error(&client(&server, wanted, authority)).await;
            assert_eq!((error.kind(), error.code()), (Kind::Config, "SqlServerTls"));
            assert!(error.advice().unwrap().contains("trust_ca"));
        }
        assert_eq!(server.logins(), []);
    }
}

#[tokio::test]
async fn a_certificate_may_carry_another_name_than_the_host_if_that_is_said() {
    let certificate = Arc::new(Certificate::new(&["db.example"]).unwrap());
    let server = server(tds::Encryption::Forced, &certificate).await;
    let named = |name: Option<&str>| SqlServerConnection {
        encryption: Encryption::Required,
        host_in_certificate: name.map(str::to_owned),
        ..stub::connection(server.address().port())
    };
    assert_eq!(error(&over(named(None), Some(&certificate.authority))).await.code(), "SqlServerTls");
    changes(&over(named(Some("db.example")), Some(&certificate.authority))).await.unwrap();
}

#[tokio::test]
async fn the_login_says_who_asks_for_which_database_and_that_it_only_reads() {
    let server = Server::start(tds::Settings::default(), Arc::new(orders(1))).await.unwrap();
    for read_only_intent in [false, true] {
        let connection = SqlServerConnection { read_only_intent, ..stub::connection(server.address().port()) };
        changes(&over(connection, None)).await.unwrap();
        let login = server.logins().pop().unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("reader", "s3cret{}ö"));
        assert_eq!((login.database.as_str(), login.application.as_str()), ("shop", "cdc-to-s3"));
        assert_eq!(login.read_only, read_only_intent);
    }
}
