//! The worker's sessions and its own state.

use crate::{Client, Error};
use sandbox_protocol::{
    Code,
    request::{
        CreateSession, InitBatch, InitFromConfig, InitResource, RefreshSession, WorkerRequest,
        WorkerResource,
    },
    response::{
        ConfigLoaded, Disconnected, Heartbeat, InitBatchResults, SessionCreated, SessionDestroyed,
        SessionList, SessionRefreshed, SessionsRefreshed, WorkerStatus,
    },
    routes,
};
use serde_json::{Map, Value};

/// All methods fail alike.
///
/// # Errors
///
/// [`Error::Server`] when the server refuses, else as [`Error`] says.
impl Client {
    /// Creates a session, or finds the one that is there already.
    ///
    /// The request's own worker, when it names one, goes before the client's.
    pub async fn create_session(&self, request: CreateSession) -> Result<SessionCreated, Error> {
        let worker_id = request.worker_id.or_else(|| Some(self.worker()));
        let request = CreateSession {
            worker_id,
            ..request
        };
        self.post_for_data(routes::SESSION_CREATE, &request).await
    }

    /// Destroys the worker's session of a type.
    pub async fn destroy_session(&self, resource_type: &str) -> Result<SessionDestroyed, Error> {
        let request = WorkerResource {
            worker_id: Some(self.worker()),
            resource_type: resource_type.to_owned(),
            trace_id: None,
        };
        self.post_for_data(routes::SESSION_DESTROY, &request).await
    }

    /// Destroys all sessions of the worker, and says how it went with each.
    pub async fn destroy_all_sessions(
        &self,
    ) -> Result<Vec<(String, Result<SessionDestroyed, Error>)>, Error> {
        let mut outcomes = Vec::new();
        for session in self.list_sessions().await?.sessions {
            let outcome = self.destroy_session(&session.resource_type).await;
            outcomes.push((session.resource_type, outcome));
        }
        Ok(outcomes)
    }

    /// Lists the worker's sessions.
    pub async fn list_sessions(&self) -> Result<SessionList, Error> {
        self.post_for_data(routes::SESSION_LIST, &self.worker_request())
            .await
    }

    /// Restarts the time to live of the worker's session of a type.
    pub async fn refresh_session(&self, resource_type: &str) -> Result<SessionRefreshed, Error> {
        let request = self.refresh(Some(resource_type));
        self.post_for_data(routes::SESSION_REFRESH, &request).await
    }

    /// Restarts the time to live of all the worker's sessions.
    pub async fn refresh_sessions(&self) -> Result<SessionsRefreshed, Error> {
        self.post_for_data(routes::SESSION_REFRESH, &self.refresh(None))
            .await
    }

    /// Destroys the worker's session of a type, if there is one, and creates it anew.
    pub async fn reinitialize(
        &self,
        resource_type: &str,
        config: Map<String, Value>,
    ) -> Result<SessionCreated, Error> {
        match self.destroy_session(resource_type).await {
            Err(error) if error.code() != Some(Code::SESSION) => Err(error),
            // No session, or one that is on its way out.
            _ => self.init_resource(resource_type, config).await,
        }
    }

    /// Says that the worker is there.
    pub async fn heartbeat(&self) -> Result<Heartbeat, Error> {
        self.post_for_data(routes::HEARTBEAT, &self.worker_request())
            .await
    }

    /// Asks for the worker's state.
    pub async fn status(&self) -> Result<WorkerStatus, Error> {
        self.post_for_data(routes::STATUS, &self.worker_request())
            .await
    }

    /// Takes leave: the server destroys the worker's sessions.
    pub async fn disconnect(&self) -> Result<Disconnected, Error> {
        self.post_for_data(routes::DISCONNECT, &self.worker_request())
            .await
    }

    /// Initialises one resource.
    pub async fn init_resource(
        &self,
        resource_type: &str,
        config: Map<String, Value>,
    ) -> Result<SessionCreated, Error> {
        let request = InitResource {
            worker_id: Some(self.worker()),
            resource_type: resource_type.to_owned(),
            init_config: config,
            trace_id: None,
        };
        self.post_for_data(routes::INIT_RESOURCE, &request).await
    }

    /// Initialises several resources, each with its configuration.
    ///
    /// That some or all failed is in the results.
    pub async fn init_batch(&self, configs: Map<String, Value>) -> Result<InitBatchResults, Error> {
        let request = InitBatch {
            worker_id: Some(self.worker()),
            resource_configs: configs,
            trace_id: None,
        };
        let answer = self
            .post(routes::INIT_BATCH, &request, self.timeout)
            .await?;
        let envelope = answer.envelope()?;
        match envelope.code {
            Code::SUCCESS | Code::PARTIAL_FAILURE | Code::ALL_FAILED => {
                serde_json::from_value(envelope.data).map_err(|error| answer.misfit(&error))
            }
            _ => Err(crate::transport::refusal(envelope)),
        }
    }

    /// Reads a configuration file that lies beside the server's own.
    pub async fn init_from_config(
        &self,
        config_path: &str,
        override_params: Map<String, Value>,
    ) -> Result<ConfigLoaded, Error> {
        let request = InitFromConfig {
            worker_id: Some(self.worker()),
            config_path: config_path.to_owned(),
            override_params,
            trace_id: None,
        };
        self.post_for_data(routes::INIT_FROM_CONFIG, &request).await
    }

    fn worker(&self) -> String {
        self.worker_id().to_owned()
    }

    fn worker_request(&self) -> WorkerRequest {
        WorkerRequest {
            worker_id: Some(self.worker()),
            trace_id: None,
        }
    }

    fn refresh(&self, resource_type: Option<&str>) -> RefreshSession {
        RefreshSession {
            worker_id: Some(self.worker()),
            resource_type: resource_type.map(str::to_owned),
            trace_id: None,
        }
    }
}
