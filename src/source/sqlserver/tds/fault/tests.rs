use super::*;

/// An error of the server, whose message quotes a cell.
fn of_server(number: u32, class: u8) -> Error {
    server(&ServerError { number, class, state: 1, line: 7 }, "reading the changes of dbo.Orders")
}

#[test]
fn each_error_number_has_its_kind_and_code() {
    let cases = [
        (313, Kind::Data, "PositionOutOfRange"),
        (208, Kind::Data, "InstanceMissing"),
        (207, Kind::Transient, "ColumnChanged"),
        (229, Kind::Config, "SqlServerDenied"),
        (22901, Kind::Config, "CdcDisabled"),
        (22985, Kind::Config, "CdcDisabled"),
        (18456, Kind::Config, "SqlServerUnauthorized"),
        (18486, Kind::Config, "SqlServerUnauthorized"),
        (4060, Kind::Config, "DatabaseNotFound"),
        (911, Kind::Config, "DatabaseNotFound"),
        (40615, Kind::Config, "SqlServerDenied"),
        (1205, Kind::Transient, "SqlServerDeadlock"),
        (1222, Kind::Transient, "SqlServerLocked"),
        (3960, Kind::Transient, "SqlServerMoved"),
        (601, Kind::Transient, "SqlServerMoved"),
        (40197, Kind::Transient, "SqlServerBusy"),
        (40501, Kind::Transient, "SqlServerBusy"),
        (40613, Kind::Transient, "SqlServerBusy"),
        (49918, Kind::Transient, "SqlServerBusy"),
        (49920, Kind::Transient, "SqlServerBusy"),
        (983, Kind::Transient, "SqlServerUnavailable"),
        (10054, Kind::Transient, "SqlServerCut"),
        (245, Kind::Data, "SqlServerRefused"),
    ];
    for (number, kind, code) in cases {
        let error = of_server(number, 16);
        assert_eq!((error.kind(), error.code()), (kind, code), "{number}");
        assert!(error.chain().contains(&format!("error {number} (severity 16, state 1, line 7)")), "{}", error.chain());
        assert!(error.advice().is_some(), "{number}");
    }
    assert_eq!(of_server(823, 24).code(), "SqlServerCut");
}

#[test]
fn a_fault_of_the_way_there_is_worth_a_retry_and_one_of_trust_is_not() {
    let io = |kind, message: &str| TdsError::Io { kind, message: message.to_owned() };
    let cases = [
        (io(IoErrorKind::TimedOut, "late"), Kind::Transient, "SqlServerTimeout"),
        (io(IoErrorKind::BrokenPipe, "reset"), Kind::Transient, "SqlServerCut"),
        (io(IoErrorKind::UnexpectedEof, "No more packets in the wire"), Kind::Transient, "SqlServerCut"),
        (TdsError::Tls("UnknownIssuer To connect anyway you can: trust".to_owned()), Kind::Config, "SqlServerTls"),
        (
            TdsError::Protocol("Server does not allow the requested encryption level.".into()),
            Kind::Config,
            "SqlServerTls",
        ),
        (TdsError::Protocol("invalid token type ff".into()), Kind::Transient, "SqlServerProtocol"),
        (TdsError::Encoding("invalid sequence".into()), Kind::Data, "TextGarbled"),
        (TdsError::Routing { host: "h".to_owned(), port: 1 }, Kind::Transient, "SqlServerRouting"),
    ];
    for (error, kind, code) in cases {
        let error = of(error, "reading");
        assert_eq!((error.kind(), error.code()), (kind, code));
        assert!(!error.chain().contains("To connect anyway"), "{}", error.chain());
    }
}
