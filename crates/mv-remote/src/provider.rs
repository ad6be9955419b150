//! [`Stores`]: the clients of a bucket, configured from the caller's variables.

#![cfg_attr(
    not(any(feature = "s3", feature = "gcs", feature = "azure")),
    expect(dead_code, unused_imports, unused_macros, reason = "only web servers are left")
)]

use std::sync::Arc;
use std::time::Duration;

use mv_store::{Error, Fault, Result};
use object_store::list::PaginatedListStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use crate::address::{Address, Scheme};
use crate::client::{Client, Connector, Redirects};
use crate::fault::Blame;
use crate::redact::Redactor;
use crate::settings::Settings;

/// The clients of one bucket.
#[derive(Clone)]
pub(crate) struct Stores {
    /// Tries again what may be done twice.
    pub(crate) patient: Arc<dyn ObjectStore>,
    /// Never tries again: a conditional write that is repeated loses to itself.
    pub(crate) once: Arc<dyn ObjectStore>,
    /// Lists page by page.
    pub(crate) lister: Arc<dyn PaginatedListStore>,
}

/// Variables whose values are hidden in what is shown.
const SECRETS: [&str; 18] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_BEARER_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_TOKEN",
    "AZURE_STORAGE_ENCRYPTION_KEY",
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "AZURE_FABRIC_SESSION_TOKEN",
];

/// Hides the values of all variables that may hold secrets.
pub(crate) fn redactor(settings: &Settings) -> Redactor {
    Redactor::new(SECRETS.into_iter().filter_map(|name| settings.variable(name)))
}

impl Stores {
    /// Makes the clients; no request is made.
    pub(crate) fn open(address: &Address, settings: &Settings, blame: &Blame) -> Result<Stores> {
        let client = Client::new(settings, Redirects::Refused, false)
            .map_err(|e| blame.remote(Fault::Unfit, &format!("no client can be made: {e}")))?;
        let connector = Connector(client);
        match address.scheme {
            #[cfg(feature = "s3")]
            Scheme::S3 => s3(address, settings, connector, blame),
            #[cfg(feature = "gcs")]
            Scheme::Gs => gcs(address, settings, connector, blame),
            #[cfg(feature = "azure")]
            Scheme::Az => azure(address, settings, connector, blame),
            _ => {
                drop(connector);
                Err(Error::Invalid {
                    what: "remote address",
                    detail: "this program was built without this kind of remote".to_owned(),
                })
            }
        }
    }
}

/// How often and how long requests are tried again.
fn patience(settings: &Settings) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: settings.timeouts.pause,
            max_backoff: Duration::from_secs(15),
            base: 2.0,
        },
        max_retries: settings.timeouts.retries,
        retry_timeout: settings.timeouts.retry,
    }
}

/// No second try.
fn impatience(settings: &Settings) -> RetryConfig {
    RetryConfig { max_retries: 0, ..patience(settings) }
}

/// A configuration that contradicts itself; what it says may repeat values.
fn refused(blame: &Blame, error: &object_store::Error) -> Error {
    match blame.remote(Fault::Unfit, &error.to_string()) {
        Error::Remote { detail, .. } => Error::Invalid { what: "remote settings", detail },
        other => other,
    }
}

/// Gives the builder every variable of the list that is set.
macro_rules! configured {
    ($builder:expr, $key:ty, $settings:expr, $names:expr) => {{
        let mut builder = $builder;
        for name in $names {
            let Some(value) = $settings.variable(name) else { continue };
            if let Ok(key) = name.to_ascii_lowercase().parse::<$key>() {
                builder = builder.with_config(key, value);
            }
        }
        builder
    }};
}

/// Builds the patient and the impatient client.
macro_rules! both {
    ($builder:expr, $settings:expr, $blame:expr) => {{
        let builder = $builder;
        let build = |retry| {
            builder.clone().with_retry(retry).build().map(Arc::new).map_err(|e| refused($blame, &e))
        };
        let patient = build(patience($settings))?;
        let once = build(impatience($settings))?;
        Ok(Stores { patient: patient.clone(), once, lister: patient })
    }};
}

#[cfg(feature = "s3")]
fn s3(
    address: &Address,
    settings: &Settings,
    connector: Connector,
    blame: &Blame,
) -> Result<Stores> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};

    const NAMES: [&str; 25] = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL_STS",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_METADATA_ENDPOINT",
        "AWS_IMDSV1_FALLBACK",
        "AWS_SKIP_SIGNATURE",
        "AWS_REQUEST_PAYER",
        "AWS_UNSIGNED_PAYLOAD",
        "AWS_CHECKSUM_ALGORITHM",
        "AWS_SERVER_SIDE_ENCRYPTION",
        "AWS_SSE_KMS_KEY_ID",
        "AWS_SSE_BUCKET_KEY_ENABLED",
        "AWS_SSE_CUSTOMER_KEY_BASE64",
    ];
    let endpoint =
        settings.variable("AWS_ENDPOINT_URL_S3").or_else(|| settings.variable("AWS_ENDPOINT_URL"));
    let plain = endpoint.is_some_and(|url| url.starts_with("http://"))
        || settings.variable("AWS_ALLOW_HTTP").is_some_and(|v| v == "true" || v == "1");
    let builder = configured!(AmazonS3Builder::new(), AmazonS3ConfigKey, settings, NAMES)
        .with_bucket_name(&address.place)
        .with_client_options(ClientOptions::new().with_allow_http(plain))
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // One request for each name; the bulk request is not offered everywhere.
        .with_disable_bulk_delete(true)
        .with_http_connector(connector);
    both!(builder, settings, blame)
}

#[cfg(feature = "gcs")]
fn gcs(
    address: &Address,
    settings: &Settings,
    connector: Connector,
    blame: &Blame,
) -> Result<Stores> {
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};

    const NAMES: [&str; 6] = [
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_BASE_URL",
        "GOOGLE_BEARER_TOKEN",
        "GOOGLE_SKIP_SIGNATURE",
    ];
    let plain = settings.variable("GOOGLE_BASE_URL").is_some_and(|url| url.starts_with("http://"));
    let builder = configured!(GoogleCloudStorageBuilder::new(), GoogleConfigKey, settings, NAMES)
        .with_bucket_name(&address.place)
        .with_client_options(ClientOptions::new().with_allow_http(plain))
        .with_http_connector(connector);
    both!(builder, settings, blame)
}

#[cfg(feature = "azure")]
fn azure(
    address: &Address,
    settings: &Settings,
    connector: Connector,
    blame: &Blame,
) -> Result<Stores> {
    use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

    const NAMES: [&str; 18] = [
        "AZURE_STORAGE_ACCOUNT_NAME",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_STORAGE_CLIENT_SECRET",
        "AZURE_STORAGE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_TENANT_ID",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_TOKEN",
        "AZURE_STORAGE_ENDPOINT",
        "AZURE_MSI_ENDPOINT",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_AUTHORITY_HOST",
        "AZURE_USE_AZURE_CLI",
        "AZURE_SKIP_SIGNATURE",
    ];
    let endpoint = settings.variable("AZURE_STORAGE_ENDPOINT");
    let plain = endpoint.is_some_and(|url| url.starts_with("http://"));
    let builder = configured!(MicrosoftAzureBuilder::new(), AzureConfigKey, settings, NAMES)
        .with_container_name(&address.place)
        .with_client_options(ClientOptions::new().with_allow_http(plain))
        .with_http_connector(connector);
    both!(builder, settings, blame)
}
