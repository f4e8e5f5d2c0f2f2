//! The way to the Temporal server: one connection, made when it is first needed, short waits, and a pause after a failure so
//! that an outage is not paid for by each document anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use temporalio_client::errors::{WorkflowInteractionError, WorkflowStartError};
use temporalio_client::{
    Client, ClientOptions, ClientTlsOptions, Connection, ConnectionOptions, RetryOptions, RpcOptions,
    TlsOptions, WorkflowFetchHistoryOptions, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
    WorkflowSignalOptions, WorkflowStartOptions,
};
use temporalio_common::WorkflowDefinition;
use temporalio_common::data_converters::{PayloadConverter, RawValue};
use temporalio_common::protos::temporal::api::workflowservice::v1::DescribeNamespaceRequest;
use tokio::sync::Mutex;
use url::Url;
use uuid::Uuid;

use crate::document::DocumentWorkflow;
use crate::review::ReviewWorkflow;
use crate::wire::{
    DocumentInput, ReviewDecision, ReviewInput, Ruling, document_workflow_id, review_workflow_id,
};

/// Longest wait for the connection, and for the answer to one call. Uploads wait for this.
const PATIENCE: Duration = Duration::from_secs(2);
/// For so long after a failure no document waits for Temporal.
const PAUSE: Duration = Duration::from_secs(10);
/// Longest life of the workflow of a document: outages of readers, and twice the time that a review may take.
const LIFE: Duration = Duration::from_secs(15 * 24 * 3600);

/// Where the server is and what to use there.
#[derive(Clone)]
pub struct Settings {
    /// With or without `http://` or `https://`. Without, it is `https` when there is a key or a certificate.
    pub endpoint: String,
    pub namespace: String,
    pub api_key: Option<String>,
    pub certificates: Certificates,
    pub task_queue: String,
}

/// PEM files for TLS.
#[derive(Clone, Default)]
pub struct Certificates {
    /// Who vouches for the server; those that the system knows if there is none.
    pub server_ca: Option<PathBuf>,
    /// What this program shows to a server that asks for it, and its private key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl Certificates {
    fn any(&self) -> bool {
        self.server_ca.is_some() || self.client.is_some()
    }

    fn read(&self) -> Result<TlsOptions, Error> {
        let file = |path: &Path| {
            std::fs::read(path).map_err(|source| Error::Certificate { path: path.to_owned(), source })
        };
        let client = match &self.client {
            None => None,
            Some((certificate, key)) => {
                let shown = ClientTlsOptions::builder().client_cert(file(certificate)?);
                Some(shown.client_private_key(file(key)?).build())
            }
        };
        Ok(TlsOptions::builder()
            .maybe_server_root_ca_cert(self.server_ca.as_deref().map(file).transpose()?)
            .maybe_client_tls_options(client)
            .build())
    }
}

/// Why Temporal did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("TEMPORAL_ENDPOINT is no address: {0}")]
    Endpoint(#[from] url::ParseError),
    #[error("the TLS file {} for Temporal cannot be read: {source}", path.display())]
    Certificate { path: PathBuf, source: std::io::Error },
    #[error("Temporal cannot be reached: {0}")]
    Connect(String),
    /// It was asked a moment ago and did not answer.
    #[error("Temporal did not answer a moment ago")]
    Paused,
    #[error("Temporal did not answer in time")]
    TimedOut,
    /// The server's status, without its text: that may repeat what was sent.
    #[error("Temporal refused: {0}")]
    Refused(String),
    #[error("the workflow worker ended: {0}")]
    Worker(String),
}

/// A Temporal server. A clone shares the connection.
#[derive(Clone)]
pub struct Engine(Arc<Parts>);

struct Parts {
    target: Url,
    /// For `https`.
    tls: Option<TlsOptions>,
    settings: Settings,
    client: Mutex<Option<Client>>,
    /// When the latest failure was.
    failed: std::sync::Mutex<Option<Instant>>,
}

/// The kind of a failure, without its text: that may repeat what was sent.
fn refused(error: &(dyn std::error::Error + 'static)) -> Error {
    let mut error = error;
    loop {
        if let Some(status) = error.downcast_ref::<temporalio_client::tonic::Status>() {
            return Error::Refused(format!("{:?}", status.code()));
        }
        match error.source() {
            Some(source) => error = source,
            None => return Error::Refused("the call could not be made".to_owned()),
        }
    }
}

impl Engine {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When the endpoint is no address or a certificate cannot be read.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let secured = settings.api_key.is_some() || settings.certificates.any();
        let target = match settings.endpoint.contains("://") {
            true => Url::parse(&settings.endpoint)?,
            false if secured => Url::parse(&format!("https://{}", settings.endpoint))?,
            false => Url::parse(&format!("http://{}", settings.endpoint))?,
        };
        let tls = (target.scheme() == "https").then(|| settings.certificates.read()).transpose()?;
        let parts =
            Parts { target, tls, settings, client: Mutex::new(None), failed: std::sync::Mutex::new(None) };
        Ok(Self(Arc::new(parts)))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Starts the workflow of a document. `false` if one runs already.
    ///
    /// # Errors
    /// When the server does not take it; whether it did is not always known then.
    pub async fn start_document(&self, input: DocumentInput) -> Result<bool, Error> {
        let id = document_workflow_id(input.document_id);
        self.start(DocumentWorkflow::run, input, id).await
    }

    /// Starts the workflow of a review that belongs to no running workflow of a document. `false` if one runs already.
    ///
    /// # Errors
    /// As [`Engine::start_document`].
    pub async fn start_review(&self, input: ReviewInput) -> Result<bool, Error> {
        let id = review_workflow_id(input.review_id);
        self.start(ReviewWorkflow::run, input, id).await
    }

    /// Tells the workflow of a review that its row is decided. Where none runs, nothing happens.
    ///
    /// # Errors
    /// When the server does not answer; the workflow then finds out by itself, later.
    pub async fn review_decided(&self, review: Uuid, ruling: Ruling) -> Result<(), Error> {
        self.bounded(async |client: Client| {
            let handle = client.get_workflow_handle::<ReviewWorkflow>(review_workflow_id(review));
            let signal =
                RawValue::from_value(&ReviewDecision { decision: ruling }, &PayloadConverter::serde_json());
            let options = WorkflowSignalOptions::builder().rpc_options(once()).build();
            match handle.signal(ReviewWorkflow::decided, signal, options).await {
                Ok(()) | Err(WorkflowInteractionError::NotFound(_)) => Ok(()),
                Err(error) => Err(refused(&error)),
            }
        })
        .await
    }

    /// Whether the server answers and has the namespace. Asks also during the pause after a failure.
    ///
    /// # Errors
    /// When not.
    pub async fn ping(&self) -> Result<(), Error> {
        let asked = async {
            let client = self.client().await?;
            let request = DescribeNamespaceRequest {
                namespace: self.settings().namespace.clone(),
                ..Default::default()
            };
            let answer = client
                .connection()
                .workflow_service()
                .describe_namespace(temporalio_client::tonic::Request::new(request))
                .await;
            answer.map(drop).map_err(|status| Error::Refused(format!("{:?}", status.code())))
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Err(Error::TimedOut));
        self.note(answer.is_ok());
        answer
    }

    /// The history of a workflow as JSON, in the form that can be replayed.
    ///
    /// # Errors
    /// When the server does not give it.
    pub async fn history(&self, workflow_id: &str) -> Result<Vec<u8>, Error> {
        let handle = self.client().await?.get_workflow_handle::<DocumentWorkflow>(workflow_id);
        let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
        history.to_json().await.map_err(|error| Error::Refused(error.to_string()))
    }

    /// A connected client.
    pub(crate) async fn client(&self) -> Result<Client, Error> {
        let mut client = self.0.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let settings = self.settings();
        let options = ConnectionOptions::new(self.0.target.clone())
            // Not host and process, which would stand in every history.
            .identity("filot")
            .maybe_api_key(settings.api_key.clone())
            .maybe_tls_options(self.0.tls.clone())
            .connect_timeout(PATIENCE)
            .build();
        let connection = tokio::time::timeout(PATIENCE, Connection::connect(options)).await;
        let connection =
            connection.map_err(|_| Error::TimedOut)?.map_err(|error| Error::Connect(error.to_string()))?;
        let connected = Client::new(connection, ClientOptions::new(settings.namespace.clone()).build())
            .map_err(|error| Error::Connect(error.to_string()))?;
        *client = Some(connected.clone());
        Ok(connected)
    }

    async fn start<W>(&self, workflow: W, input: W::Input, id: String) -> Result<bool, Error>
    where
        W: temporalio_common::HasWorkflowDefinition + WorkflowDefinition,
        W::Input: Send,
    {
        let options = WorkflowStartOptions::new(self.settings().task_queue.clone(), id)
            .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate)
            .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
            .execution_timeout(LIFE)
            .rpc_options(once())
            .build();
        self.bounded(async |client: Client| match client.start_workflow(workflow, input, options).await {
            Ok(_) => Ok(true),
            Err(WorkflowStartError::AlreadyStarted { .. }) => Ok(false),
            Err(error) => Err(refused(&error)),
        })
        .await
    }

    /// One call, within [`PATIENCE`] and not during a pause.
    async fn bounded<T>(&self, call: impl AsyncFnOnce(Client) -> Result<T, Error>) -> Result<T, Error> {
        let failed = *self.0.failed.lock().unwrap_or_else(|lock| lock.into_inner());
        if failed.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(Error::Paused);
        }
        let asked = async { call(self.client().await?).await };
        let answer = tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Err(Error::TimedOut));
        self.note(answer.is_ok());
        answer
    }

    fn note(&self, answered: bool) {
        let failed = (!answered).then(Instant::now);
        *self.0.failed.lock().unwrap_or_else(|lock| lock.into_inner()) = failed;
    }
}

/// No repetition: whoever waits has another way.
fn once() -> RpcOptions {
    let retry = RetryOptions::builder().max_retries(1).max_elapsed_time(Some(PATIENCE)).build();
    RpcOptions::builder().timeout(PATIENCE).retry_options(retry).build()
}
