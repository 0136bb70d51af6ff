//! The routes that warm backends up, and tell which are warm.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, response::Response};
use futures_util::future::join_all;
use http::StatusCode;
use sandbox_protocol::{
    request::{Warmup, parse_or_default},
    response::{BackendState, WarmupOutcome, WarmupStatus, WarmupSummary, WarmupVerdict},
};

use super::{
    answer::bare,
    asked::{Asked, bad},
    batch::check_count,
    front::Served,
};
use crate::{
    failure::Failure,
    observe::Admin,
    sandbox::{Caller, Sandbox},
};

/// `POST /api/v1/warmup`.
pub(super) async fn warm_up(State(served): State<Arc<Served>>, asked: Asked) -> Response {
    match warm(&served.sandbox, &asked.visitor.caller, &asked.body).await {
        Ok(outcome) => bare(StatusCode::OK, &outcome),
        Err(failure) => asked.refused(&failure),
    }
}

async fn warm(sandbox: &Sandbox, caller: &Caller, body: &[u8]) -> Result<WarmupOutcome, Failure> {
    let asked: Warmup = parse_or_default(body).map_err(|error| bad(&error))?;
    let _pass = sandbox.admit()?;
    let all = || {
        sandbox
            .catalog
            .backends()
            .map(|it| it.name.to_string())
            .collect()
    };
    let mut names = asked.backends.unwrap_or_else(all);
    check_count("backends", names.len(), &sandbox.config.server.limits)?;
    names.sort_unstable();
    names.dedup();
    let ends = join_all(names.iter().map(async |name| {
        let backend = sandbox.catalog.backend(name)?;
        backend.warm_up().await
    }));
    let ends: Vec<_> = names.iter().cloned().zip(ends.await).collect();
    let errors: BTreeMap<_, _> = ends
        .iter()
        .filter_map(|(name, end)| Some((name.clone(), end.as_ref().err()?.message.clone())))
        .collect();
    sandbox.observers.admin(&Admin {
        action: "warmup",
        key: caller.owner(),
        target: names.join(" ").into(),
        error: errors.values().next().map(String::as_str),
    });
    Ok(WarmupOutcome {
        status: if errors.is_empty() {
            WarmupVerdict::Success
        } else {
            WarmupVerdict::PartialError
        },
        results: ends
            .into_iter()
            .map(|(name, end)| (name, end.is_ok()))
            .collect(),
        summary: state(sandbox).summary,
        errors,
    })
}

/// `GET /api/v1/warmup/status`.
pub(super) async fn status(State(served): State<Arc<Served>>) -> Response {
    bare(StatusCode::OK, &state(&served.sandbox))
}

fn state(sandbox: &Sandbox) -> WarmupStatus {
    // An optional resource that could not be loaded is in the configuration, but not in the catalog.
    let absent = BackendState {
        loaded: false,
        warmed_up: false,
    };
    let configured = sandbox
        .config
        .enabled()
        .map(|(name, _)| (name.to_owned(), absent));
    let loaded = sandbox.catalog.backends().map(|backend| {
        let state = BackendState {
            loaded: true,
            warmed_up: backend.is_warm(),
        };
        (backend.name.to_string(), state)
    });
    let backends: BTreeMap<_, _> = configured.chain(loaded).collect();
    let warmed_up = backends.values().filter(|state| state.warmed_up).count();
    WarmupStatus {
        summary: WarmupSummary {
            total: backends.len(),
            warmed_up,
            pending: backends.len() - warmed_up,
        },
        backends,
    }
}
