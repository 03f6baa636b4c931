//! What does work on behalf of a configuration: clients of AWS, of Kaggle and of SQL Server, made at their first use.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig};
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use crate::config::{
    Config, ConfigSource, ConfigText, Dataset, Environment, Limits, S3Settings, SourceConfig, SqlServerConfig,
    TrustedCa,
};
use crate::error::{Error, Result};
use crate::lake::store::{
    DirStore, LakeUrl, ObjectStore, S3ClientOptions, S3Options, S3Store, S3Timing, read_all, s3_client,
};
use crate::secrets::{self, ClientFactory, CredentialCache, LoginCache};
use crate::source::Source;
use crate::source::kaggle::{Kaggle, Settings};
use crate::source::sqlserver::SqlServer;
use crate::source::sqlserver::tds::{self, TdsServer};

/// The greatest size of a configuration, or of a bundle of certificates, in S3, in bytes.
const CONFIG_LIMIT: u64 = 1024 * 1024;

/// Time-outs and retries of all clients. The defaults are meant for production; tests shorten them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// For the lake, and a configuration, in S3.
    pub s3: S3Timing,
    /// For Secrets Manager.
    pub secrets: secrets::Timing,
    /// For Kaggle's API and storage.
    pub kaggle: Settings,
    /// For SQL Server.
    pub sqlserver: tds::Settings,
}

/// The clients of a process.
pub struct Clients {
    environment: Environment,
    timing: Timing,
    sdk: Arc<OnceCell<SdkConfig>>,
    credentials: Arc<CredentialCache>,
    s3: Mutex<Vec<(S3ClientOptions, aws_sdk_s3::Client)>>,
    kaggle: Mutex<HashMap<String, Arc<Kaggle>>>,
    logins: Mutex<HashMap<Option<String>, Arc<LoginCache>>>,
}

impl Clients {
    /// For a process with this environment, whose user's home folder is `home`. Nothing is connected to yet. The AWS SDK
    /// looks for its settings where it always does: the process's environment, profiles, the instance.
    pub fn new(environment: Environment, home: Option<PathBuf>) -> Self {
        Self::made(environment, home, OnceCell::new(), Timing::default())
    }

    /// As [`Self::new`], with settings of the AWS SDK that are known already.
    pub fn with_sdk(environment: Environment, home: Option<PathBuf>, sdk: SdkConfig) -> Self {
        Self::with_timing(environment, home, sdk, Timing::default())
    }

    /// As [`Self::with_sdk`], with other time-outs and retries.
    pub fn with_timing(environment: Environment, home: Option<PathBuf>, sdk: SdkConfig, timing: Timing) -> Self {
        Self::made(environment, home, OnceCell::new_with(Some(sdk)), timing)
    }

    /// The environment of the process.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Reads the text of a configuration.
    pub async fn config_text(&self, source: &ConfigSource) -> Result<ConfigText> {
        source.load(|bucket, key| self.object(bucket, key)).await
    }

    /// The store of the configured lake.
    pub async fn store(&self, config: &Config) -> Arc<dyn ObjectStore> {
        let S3Settings { region, endpoint_url, path_style, kms_key_id } = config.s3.clone();
        match &config.lake {
            LakeUrl::Dir(path) => Arc::new(DirStore::new(path)),
            LakeUrl::S3 { bucket, prefix } => {
                let timing = self.timing.s3;
                let options = S3ClientOptions { region, endpoint: endpoint_url, path_style, timing };
                let client = self.s3_client(options).await;
                Arc::new(S3Store::new(client, S3Options { kms_key_id, ..S3Options::new(bucket, prefix) }))
            }
        }
    }

    /// The configured source.
    pub async fn source(&self, config: &Config) -> Result<Source> {
        match &config.source {
            SourceConfig::Kaggle { dataset, endpoint, not_ready_after } => {
                let source = self.dataset(dataset, endpoint, config.limits).await?;
                Ok(source.with_patience(*not_ready_after))
            }
            SourceConfig::SqlServer(source) => self.sqlserver(source).await.map(Source::SqlServer),
        }
    }

    /// A dataset of Kaggle, whatever the configuration.
    pub async fn dataset(&self, dataset: &Dataset, endpoint: &Url, limits: Limits) -> Result<Source> {
        let mut clients = self.kaggle.lock().await;
        let client = match clients.get(endpoint.as_str()) {
            Some(client) => Arc::clone(client),
            None => {
                let client =
                    Arc::new(Kaggle::new(endpoint.as_str(), Arc::clone(&self.credentials), self.timing.kaggle)?);
                clients.insert(endpoint.to_string(), Arc::clone(&client));
                client
            }
        };
        Ok(Source::Kaggle { client, dataset: dataset.clone(), limits, version: None, not_ready_after: None })
    }

    fn made(environment: Environment, home: Option<PathBuf>, sdk: OnceCell<SdkConfig>, timing: Timing) -> Self {
        let sdk = Arc::new(sdk);
        let secrets_manager = secrets_manager(&sdk, timing.secrets);
        let credentials = Arc::new(CredentialCache::new(environment.clone(), home, secrets_manager));
        let (s3, kaggle, logins) = Default::default();
        Self { environment, timing, sdk, credentials, s3, kaggle, logins }
    }

    /// The database, over connections of its own: those of an earlier run may be dead by now. Nothing is connected to yet.
    async fn sqlserver(&self, source: &SqlServerConfig) -> Result<SqlServer> {
        let connection = source.connection.clone();
        let trusted = match &connection.trust_ca {
            Some(place) => Some(self.certificates(place).await?),
            None => None,
        };
        let login = self.login(connection.secret_id.clone()).await?;
        let database = match &connection.database {
            Some(name) => name.clone(),
            None => login.login().await?.database.clone().unwrap_or_default(),
        };
        let server = TdsServer::new(connection, trusted, login, source.as_text, self.timing.sqlserver);
        Ok(SqlServer { server: Arc::new(server), database, feed: source.feed.clone() })
    }

    /// The login that a secret holds, kept over runs.
    async fn login(&self, secret_id: Option<String>) -> Result<Arc<LoginCache>> {
        let mut logins = self.logins.lock().await;
        if let Some(login) = logins.get(&secret_id) {
            return Ok(Arc::clone(login));
        }
        let secrets_manager = secrets_manager(&self.sdk, self.timing.secrets);
        let login = Arc::new(LoginCache::new(&self.environment, secret_id.as_deref(), secrets_manager)?);
        logins.insert(secret_id, Arc::clone(&login));
        Ok(login)
    }

    /// The certificates at that place.
    async fn certificates(&self, place: &TrustedCa) -> Result<Vec<u8>> {
        match place {
            TrustedCa::Pem(text) => Ok(text.clone().into_bytes()),
            TrustedCa::Path(path) => tokio::fs::read(path)
                .await
                .map_err(|error| no_certificates(&path.display().to_string()).caused_by(error)),
            TrustedCa::S3 { bucket, key } => {
                let found = self.object(bucket.clone(), key.clone()).await?;
                found.ok_or_else(|| no_certificates(&format!("s3://{bucket}/{key}")))
            }
        }
    }

    /// The bytes of a small object of S3.
    async fn object(&self, bucket: String, key: String) -> Result<Option<Vec<u8>>> {
        let client = self.s3_client(S3ClientOptions { timing: self.timing.s3, ..S3ClientOptions::default() }).await;
        let store = S3Store::new(client, S3Options::new(bucket, ""));
        Ok(read_all(&store, &key, CONFIG_LIMIT).await?.map(|(bytes, _)| bytes.to_vec()))
    }

    async fn s3_client(&self, options: S3ClientOptions) -> aws_sdk_s3::Client {
        let mut clients = self.s3.lock().await;
        if let Some((_, client)) = clients.iter().find(|(known, _)| *known == options) {
            return client.clone();
        }
        let client = s3_client(sdk_config(&self.sdk).await, &options);
        clients.push((options, client.clone()));
        client
    }
}

/// Makes a client of Secrets Manager when one is needed.
fn secrets_manager(sdk: &Arc<OnceCell<SdkConfig>>, timing: secrets::Timing) -> ClientFactory {
    let sdk = Arc::clone(sdk);
    Box::new(move || {
        let sdk = Arc::clone(&sdk);
        Box::pin(async move { secrets::client(sdk_config(&sdk).await, &timing) })
    })
}

fn no_certificates(place: &str) -> Error {
    Error::config("CertificatesUnreadable", format!("there are no certificates to trust at {place}"))
        .hint("name a file, an s3://bucket/key or the certificates themselves (PEM) in `source.trust_ca`")
}

/// The AWS settings of the process: region, credentials, endpoint.
async fn sdk_config(cell: &OnceCell<SdkConfig>) -> &SdkConfig {
    cell.get_or_init(|| aws_config::defaults(BehaviorVersion::latest()).load()).await
}
