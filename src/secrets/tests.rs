use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::error::{Error, Kind};

const HIDDEN: &str = "hunter2hunter2";

fn token(text: &str) -> KaggleCredentials {
    KaggleCredentials::Token(Secret::new(text))
}

fn pair(username: &str, key: &str) -> KaggleCredentials {
    KaggleCredentials::Legacy { username: username.to_owned(), key: Secret::new(key) }
}

async fn found(pairs: &[(&str, &str)], home: &Path) -> Result<KaggleCredentials> {
    let environment = Environment::from_pairs(pairs.iter().copied());
    let unused = || async { unreachable!("no secret is configured") }.boxed();
    let cache = CredentialCache::new(environment, Some(home.to_owned()), unused);
    cache.kaggle().await.map(|credentials| (*credentials).clone())
}

/// The code of an error none of whose forms shows the secret.
fn discreet(error: &Error) -> (Kind, &'static str) {
    let json = serde_json::to_string(error).unwrap();
    for shown in [error.to_string(), format!("{error:?}"), error.chain(), json] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert!(error.advice().is_some());
    (error.kind(), error.code())
}

#[test]
fn no_form_of_credentials_shows_the_secret() {
    for credentials in [token(HIDDEN), pair("user", HIDDEN)] {
        assert!(!format!("{credentials:?} {:?}", CredentialCache::fixed(credentials.clone())).contains("hunter2"));
    }
}

#[tokio::test]
async fn the_first_place_in_kaggles_own_order_wins() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".kaggle");
    let other = home.path().join("other");
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(&other).unwrap();
    let elsewhere = ("KAGGLE_CONFIG_DIR", other.to_str().unwrap());
    let both = [("KAGGLE_USERNAME", "u"), ("KAGGLE_KEY", "k")];

    assert_eq!(found(&[], home.path()).await.unwrap(), KaggleCredentials::Anonymous);
    fs::write(folder.join("kaggle.json"), r#"{"username": "file", "key": "k"}"#).unwrap();
    assert_eq!(found(&[], home.path()).await.unwrap(), pair("file", "k"));
    assert_eq!(found(&[elsewhere], home.path()).await.unwrap(), KaggleCredentials::Anonymous);
    fs::write(other.join("kaggle.json"), r#"{"username": "other", "key": "k"}"#).unwrap();
    assert_eq!(found(&[elsewhere], home.path()).await.unwrap(), pair("other", "k"));
    fs::write(folder.join("access_token.txt"), "KGAT_txt\n").unwrap();
    assert_eq!(found(&[elsewhere], home.path()).await.unwrap(), token("KGAT_txt"));
    fs::write(folder.join("access_token"), " KGAT_plain \n").unwrap();
    assert_eq!(found(&[], home.path()).await.unwrap(), token("KGAT_plain"));
    assert_eq!(found(&both, home.path()).await.unwrap(), pair("u", "k"));
    let all = [both[0], both[1], ("KAGGLE_API_TOKEN", "KGAT_env")];
    assert_eq!(found(&all, home.path()).await.unwrap(), token("KGAT_env"));
}

#[tokio::test]
async fn the_token_variable_may_name_a_file() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("my-token");
    fs::write(&path, "oauth-token\n").unwrap();
    let named = [("KAGGLE_API_TOKEN", path.to_str().unwrap())];
    assert_eq!(found(&named, home.path()).await.unwrap(), token("oauth-token"));
    let long = "x".repeat(5000);
    assert_eq!(found(&[("KAGGLE_API_TOKEN", &long)], home.path()).await.unwrap(), token(&long));
    let missing = found(&[("KAGGLE_API_TOKEN", "/hunter2/missing")], home.path()).await.unwrap_err();
    assert_eq!(discreet(&missing), (Kind::Config, "SecretNotFound"));
    let folder = found(&[("KAGGLE_API_TOKEN", home.path().to_str().unwrap())], home.path()).await.unwrap_err();
    assert_eq!(discreet(&folder), (Kind::Config, "SecretDenied"));
}

#[tokio::test]
async fn what_is_named_but_unusable_ends_the_search_and_is_not_shown() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".kaggle");
    fs::create_dir_all(folder.join("access_token")).unwrap();
    let denied = found(&[], home.path()).await.unwrap_err();
    assert_eq!(discreet(&denied), (Kind::Config, "SecretDenied"));
    for half in [[("KAGGLE_USERNAME", "u")], [("KAGGLE_KEY", HIDDEN)], [("KAGGLE_API_TOKEN", "hunter2 hunter2")]] {
        let error = found(&half, home.path()).await.unwrap_err();
        assert_eq!(discreet(&error), (Kind::Config, "SecretMalformed"), "{half:?}");
    }
    fs::remove_dir(folder.join("access_token")).unwrap();
    for content in
        [&b"hunter2"[..], b"{\"username\": \"u\", \"key\": hunter2}", b"\xffhunter2", b"{\"key\": \"hunter2\"}"]
    {
        fs::write(folder.join("kaggle.json"), content).unwrap();
        let error = found(&[], home.path()).await.unwrap_err();
        assert_eq!(discreet(&error), (Kind::Config, "SecretMalformed"), "{error}");
    }
}

#[test]
fn a_secret_is_read_in_every_form() {
    let forms = [
        (r#"{"username": "u", "key": "k"}"#, pair("u", "k")),
        (r#"{"KAGGLE_USERNAME": "u", "KAGGLE_KEY": "k\n", "more": 1}"#, pair("u", "k")),
        (r#"{"token": "t"}"#, token("t")),
        (r#"{"KAGGLE_API_TOKEN": "t"}"#, token("t")),
        (r#"{"api_token": "t", "username": "u"}"#, token("t")),
        ("\u{feff}KGAT_abc\n", token("KGAT_abc")),
    ];
    for (text, expected) in forms {
        assert_eq!(format::parse(text, "it").unwrap(), expected, "{text}");
    }
    for text in ["", "hunter2", "[\"hunter2\"]", "{}", r#"{"key": "hunter2"}"#, r#"{"token": 7}"#, "KGAT_ hunter2"] {
        assert_eq!(discreet(&format::parse(text, "it").unwrap_err()), (Kind::Config, "SecretMalformed"), "{text}");
    }
}

/// A Secrets Manager on loopback that gives `answers` in turn, and the last one for ever.
async fn service(answers: &'static [(u16, &'static str)]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let served = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&served);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (status, body) = answers[counter.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
            answer(stream, status, body).await;
        }
    });
    (address, served)
}

/// Reads one request, writes one answer, and closes, so that each request is a connection of its own.
async fn answer(mut stream: TcpStream, status: u16, body: &str) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
}

/// A cache whose secret is kept at `endpoint`, with or without keys to ask for it.
fn cache_of(endpoint: String, keys: Option<Credentials>) -> CredentialCache {
    let environment = Environment::from_pairs([("KAGGLE_SECRET_ID", "kaggle/prod"), ("KAGGLE_API_TOKEN", "unused")]);
    CredentialCache::new(environment, None, move || {
        let mut sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&endpoint);
        sdk.set_credentials_provider(keys.clone().map(SharedCredentialsProvider::new));
        async move { client(&sdk.build(), &Timing::default()) }.boxed()
    })
}

fn cache_at(endpoint: String) -> CredentialCache {
    cache_of(endpoint, Some(Credentials::new("key", "secret", None, None, "test")))
}

const ONE: &str = r#"{"SecretString": "{\"username\": \"u\", \"key\": \"one\"}"}"#;
const TWO: &str = r#"{"SecretString": "KGAT_two"}"#;

#[tokio::test]
async fn a_secret_is_fetched_once_and_again_only_when_it_was_refused() {
    let (endpoint, served) = service(&[(200, ONE), (200, TWO)]).await;
    let cache = cache_at(endpoint);
    let first = cache.kaggle().await.unwrap();
    assert_eq!((&*first, &*cache.kaggle().await.unwrap()), (&pair("u", "one"), &pair("u", "one")));
    assert_eq!(served.load(Ordering::SeqCst), 1);
    let (one, other) = tokio::join!(cache.renew_kaggle(&first), cache.renew_kaggle(&first));
    assert_eq!((&*one.unwrap(), &*other.unwrap()), (&token("KGAT_two"), &token("KGAT_two")));
    assert_eq!((served.load(Ordering::SeqCst), &*cache.kaggle().await.unwrap()), (2, &token("KGAT_two")));
}

#[tokio::test]
async fn fixed_credentials_stay_the_same_after_a_renewal() {
    let cache = CredentialCache::fixed(token("t"));
    let first = cache.kaggle().await.unwrap();
    assert!(Arc::ptr_eq(&first, &cache.renew_kaggle(&first).await.unwrap()));
}

#[tokio::test]
async fn passing_faults_of_the_service_are_retried_and_then_transient() {
    let (endpoint, served) = service(&[(500, r#"{"__type": "InternalServiceError"}"#), (200, ONE)]).await;
    assert_eq!(*cache_at(endpoint).kaggle().await.unwrap(), pair("u", "one"));
    assert_eq!(served.load(Ordering::SeqCst), 2);

    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = cache_at(format!("http://{gone}")).kaggle().await.unwrap_err();
    assert_eq!(discreet(&error), (Kind::Transient, "SecretUnavailable"));

    let (endpoint, served) = service(&[(503, "{}")]).await;
    let error = cache_at(endpoint).kaggle().await.unwrap_err();
    assert_eq!(discreet(&error), (Kind::Transient, "SecretUnavailable"));
    assert_eq!(served.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn each_refusal_has_its_code_and_no_answer_is_shown() {
    let cases: [(&'static [(u16, &'static str)], _); 7] = [
        (&[(400, r#"{"__type": "ResourceNotFoundException", "message": "m"}"#)], "SecretNotFound"),
        (&[(400, r#"{"__type": "InvalidRequestException", "message": "marked for deletion"}"#)], "SecretNotFound"),
        (&[(400, r#"{"__type": "AccessDeniedException", "Message": "m"}"#)], "SecretDenied"),
        (&[(400, r#"{"__type": "DecryptionFailure", "message": "m"}"#)], "SecretDenied"),
        (&[(400, r#"{"__type": "ExpiredTokenException", "message": "m"}"#)], "SecretDenied"),
        (&[(200, r#"{"SecretString": "hunter2"}"#)], "SecretMalformed"),
        (&[(200, r#"{"Name": "kaggle/prod"}"#)], "SecretMalformed"),
    ];
    for (answers, code) in cases {
        let (endpoint, _) = service(answers).await;
        let error = cache_at(endpoint).kaggle().await.unwrap_err();
        assert_eq!(discreet(&error), (Kind::Config, code), "{answers:?}");
        assert!(error.to_string().contains("kaggle/prod"), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_transient_and_not_shown() {
    let (endpoint, _) = service(&[(200, r#"{"SecretString": "KGAT_hunter2" hunter2"#)]).await;
    let error = cache_at(endpoint).kaggle().await.unwrap_err();
    assert_eq!(discreet(&error), (Kind::Transient, "SecretUnavailable"));
}

#[tokio::test]
async fn without_aws_credentials_nothing_is_sent_and_the_error_says_so() {
    let (endpoint, served) = service(&[(200, ONE)]).await;
    let cache = cache_of(endpoint, None);
    assert_eq!(discreet(&cache.kaggle().await.unwrap_err()), (Kind::Config, "AwsNotConfigured"));
    assert_eq!(served.load(Ordering::SeqCst), 0);
}
