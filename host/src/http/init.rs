//! The routes that make sessions for programs that speak of initialising resources.

use futures_util::{StreamExt, stream};
use sandbox_protocol::{
    request::{InitBatch, InitResource},
    response::{InitBatchResults, InitResult, InitVerdict, SessionCreated},
};
use serde_json::{Map, Value};

use super::{
    asked::bad,
    batch::{check_count, code_of},
    job::{Done, Job},
    sessions::{created, open},
};
use crate::{
    failure::Failure,
    sessions::{Opened, Wanted},
};

/// `POST /api/v1/init/resource`.
pub(super) async fn resource(job: Job<InitResource>) -> Result<Done<SessionCreated>, Failure> {
    let wanted = wanted(&job, job.request.init_config.clone());
    let opened = open(&job, &job.request.resource_type, &wanted).await?;
    Ok(created(&opened))
}

/// `POST /api/v1/init/batch`.
pub(super) async fn batch(mut job: Job<InitBatch>) -> Result<Done<InitBatchResults>, Failure> {
    let asked = std::mem::take(&mut job.request);
    let configs = asked.configs().map_err(|error| bad(&error))?;
    let total = configs.len();
    let limits = &job.sandbox().config.server.limits;
    check_count("resource_configs", total, limits)?;
    let opened = stream::iter(configs)
        .map(|(name, config)| {
            let job = &job;
            async move {
                let opened = open(job, &name, &wanted(job, config)).await;
                (name, result(opened))
            }
        })
        .buffer_unordered(limits.batch_concurrency)
        .collect::<Vec<_>>()
        .await;
    let succeeded = |result: &&(String, InitResult)| result.1.status == InitVerdict::Success;
    let success_count = opened.iter().filter(succeeded).count();
    let data = InitBatchResults {
        worker_id: job.worker,
        results: opened.into_iter().collect(),
        total,
        success_count,
    };
    Ok(Done::new(data).with_code(code_of(success_count, total - success_count, total)))
}

fn wanted<T>(job: &Job<T>, config: Map<String, Value>) -> Wanted {
    Wanted {
        config,
        auto_extend: true,
        origin: job.origin.clone(),
        ..Wanted::default()
    }
}

fn result(opened: Result<Opened, Failure>) -> InitResult {
    match opened {
        Ok(Opened::Created(session) | Opened::Existed(session)) => InitResult {
            status: InitVerdict::Success,
            session_id: Some(session.id.to_string()),
            session_status: Some(session.status()),
            error: None,
        },
        Err(failure) => InitResult {
            status: InitVerdict::Error,
            session_id: None,
            session_status: None,
            error: Some(failure.message),
        },
    }
}
