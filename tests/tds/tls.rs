//! TLS in both framings, and what a client must not fall for.

use std::sync::Arc;

use tiberius::{Config, EncryptionLevel, error::Error};

use super::client::{config, connect};
use crate::support::tds::{
    Answer, Certificate, Column, Encryption, Length, Line, Script, Server, Settings, Splits, SqlType,
};

async fn server(encryption: Encryption, certificate: &Arc<Certificate>) -> Server {
    let long = "ação ".repeat(10_000);
    let column = Column::new("long", SqlType::NVarChar(Length::Max));
    let script = Script::default().on("long", move |_| Answer::value(column.clone(), long.as_str()));
    let certificate = Some(Arc::clone(certificate));
    let splits = Splits { sizes: vec![4088, 1, 700], ..Splits::default() };
    Server::start(Settings { encryption, certificate, splits, ..Settings::default() }, Arc::new(script)).await.unwrap()
}

fn own() -> Arc<Certificate> {
    Arc::new(Certificate::new(&["db.example", "127.0.0.1"]).unwrap())
}

fn wishing(server: &Server, level: EncryptionLevel, authority: &str) -> Config {
    let mut config = config(server);
    config.encryption(level);
    config.trust_cert_ca_bundle(authority.as_bytes());
    config
}

async fn reads(config: Config) {
    let mut client = connect(config).await.unwrap();
    for _ in 0..2 {
        let row = client.simple_query("long").await.unwrap().into_row().await.unwrap().unwrap();
        assert_eq!(row.get::<&str, _>(0).unwrap().len(), 70_000);
    }
}

#[tokio::test]
async fn all_that_is_agreed_on_works() {
    let certificate = own();
    let agreed = [
        (Encryption::Possible, EncryptionLevel::NotSupported, Line::Plain),
        (Encryption::Possible, EncryptionLevel::Off, Line::PlainAfterLogin),
        (Encryption::Possible, EncryptionLevel::On, Line::Tls),
        (Encryption::Possible, EncryptionLevel::Required, Line::Tls),
        (Encryption::Forced, EncryptionLevel::Off, Line::Tls),
        (Encryption::Forced, EncryptionLevel::Required, Line::Tls),
        (Encryption::Strict, EncryptionLevel::Strict, Line::Strict),
    ];
    for (encryption, level, line) in agreed {
        let server = server(encryption, &certificate).await;
        reads(wishing(&server, level, &certificate.authority)).await;
        assert_eq!(server.seen()[0].session.line, line, "{encryption:?}, {level:?}");
        assert_eq!(server.logins()[0].password, "s3cret{}ö", "{encryption:?}, {level:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_agreed_on_fails() {
    let certificate = own();
    let impossible = [
        (Encryption::NotSupported, EncryptionLevel::Required),
        (Encryption::NotSupported, EncryptionLevel::Strict),
        (Encryption::Possible, EncryptionLevel::Strict),
        (Encryption::Strict, EncryptionLevel::Required),
        (Encryption::Strict, EncryptionLevel::NotSupported),
    ];
    for (encryption, level) in impossible {
        let server = server(encryption, &certificate).await;
        assert!(connect(wishing(&server, level, &certificate.authority)).await.is_err(), "{encryption:?}, {level:?}");
        assert_eq!(server.logins(), [], "{encryption:?}, {level:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_another_name_is_refused_before_the_login() {
    let (certificate, stranger) = (own(), Certificate::new(&["127.0.0.1"]).unwrap());
    for (encryption, level) in [
        (Encryption::Possible, EncryptionLevel::Off),
        (Encryption::Forced, EncryptionLevel::Required),
        (Encryption::Strict, EncryptionLevel::Strict),
    ] {
        let server = server(encryption, &certificate).await;
        let error = connect(wishing(&server, level, &stranger.authority)).await.unwrap_err();
        assert!(matches!(&error, Error::Tls(message) if message.contains("UnknownIssuer")), "{error}");
        let mut elsewhere = wishing(&server, level, &certificate.authority);
        elsewhere.hostname_in_certificate("other.example");
        let error = connect(elsewhere).await.unwrap_err();
        assert!(matches!(&error, Error::Tls(message) if message.contains("not valid for name")), "{error}");
        assert_eq!(server.logins(), []);
        let mut named = wishing(&server, level, &certificate.authority);
        named.hostname_in_certificate("db.example");
        reads(named).await;
    }
}
