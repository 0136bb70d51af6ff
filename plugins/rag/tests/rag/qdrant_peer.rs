//! A peer that speaks as much of Qdrant's REST protocol as the backend does, strictly: what the real
//! server would refuse, it refuses. It keeps points in memory and compares them all.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::IntoResponse,
    routing::any,
};
use sandbox_plugin_api::prelude::*;
use tokio::sync::oneshot;

type Refusal = (StatusCode, String);

/// A running peer; it ends when this is dropped.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<Mutex<Collections>>,
    _stop: oneshot::Sender<()>,
}

/// What the peer has.
#[derive(Default)]
pub(crate) struct Collections {
    by_name: HashMap<String, Collection>,
    /// The key that it asks for.
    pub(crate) key: Option<String>,
    /// How many more requests it answers; then it breaks down.
    pub(crate) answers: Option<usize>,
}

#[derive(Default)]
struct Collection {
    config: Value,
    fields: HashSet<String>,
    points: BTreeMap<String, Value>,
}

impl Peer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(Collections::default()));
        let (stop, stopped) = oneshot::channel::<()>();
        let routes = Router::new()
            .route("/collections/{name}", any(answer))
            .route("/collections/{name}/{*rest}", any(answer))
            .with_state(Arc::clone(&state));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let stopped = async { drop(stopped.await) };
                tokio::select! {
                    served = axum::serve(listener, routes) => served.unwrap(),
                    () = stopped => {}
                }
            });
        });
        Self {
            address,
            state,
            _stop: stop,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn answer(
    State(state): State<Arc<Mutex<Collections>>>,
    Path(parts): Path<HashMap<String, String>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let mut state = state.lock().unwrap();
    let given = headers.get("api-key").and_then(|key| key.to_str().ok());
    if state.key.is_some() && state.key.as_deref() != given {
        let text = "Must provide an API key or an Authorization bearer token";
        return (StatusCode::UNAUTHORIZED, text.to_owned());
    }
    if let Some(left) = &mut state.answers {
        if *left == 0 {
            return (
                StatusCode::INTERNAL_SERVER_ERROR,
                failure("Service internal error: disk"),
            );
        }
        *left -= 1;
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let rest = parts.get("rest").map_or("", String::as_str);
    let waits = uri.query() == Some("wait=true");
    match state.answer(&parts["name"], &method, rest, waits, &body) {
        Ok(result) => {
            let body = json!({ "result": result, "status": "ok", "time": 0.001 });
            (StatusCode::OK, body.to_string())
        }
        Err((status, message)) => (status, failure(&message)),
    }
}

fn failure(message: &str) -> String {
    json!({ "status": { "error": message }, "time": 0.001 }).to_string()
}

fn wrong(message: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, message.into())
}

/// The keys of an object, which must be among these.
fn only(body: &Value, allowed: &[&str]) -> Result<(), Refusal> {
    let object = body
        .as_object()
        .ok_or_else(|| wrong("Format error in JSON body: no object"))?;
    match object.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(wrong(format!(
            "Format error in JSON body: unknown field `{key}`"
        ))),
        None => Ok(()),
    }
}

impl Collections {
    fn answer(
        &mut self,
        name: &str,
        method: &Method,
        rest: &str,
        waits: bool,
        body: &Value,
    ) -> Result<Value, Refusal> {
        if (method, rest) == (&Method::PUT, "") {
            only(body, &["vectors", "sparse_vectors"])?;
            if self.by_name.contains_key(name) {
                let message = format!("Wrong input: Collection `{name}` already exists!");
                return Err((StatusCode::CONFLICT, message));
            }
            let config = json!({ "params": body });
            let collection = Collection {
                config,
                ..Collection::default()
            };
            self.by_name.insert(name.to_owned(), collection);
            return Ok(json!(true));
        }
        let collection = self.by_name.get_mut(name).ok_or_else(|| {
            let message = format!("Not found: Collection `{name}` doesn't exist!");
            (StatusCode::NOT_FOUND, message)
        })?;
        let done = json!({ "operation_id": 1, "status": "completed" });
        match (method.as_str(), rest) {
            ("GET", "") => Ok(json!({
                "status": "green", "points_count": collection.points.len(), "config": collection.config,
            })),
            ("PUT", "index") => {
                only(body, &["field_name", "field_schema"])?;
                let field = body["field_name"]
                    .as_str()
                    .ok_or_else(|| wrong("no field_name"))?;
                collection.fields.insert(field.to_owned());
                Ok(done)
            }
            ("PUT", "points") if waits => {
                only(body, &["points"])?;
                for point in body["points"]
                    .as_array()
                    .ok_or_else(|| wrong("no points"))?
                {
                    collection.upsert(point)?;
                }
                Ok(done)
            }
            ("POST", "points/delete") if waits => {
                only(body, &["filter"])?;
                let gone = collection.passing(&body["filter"])?;
                collection.points.retain(|id, _| !gone.contains(id));
                Ok(done)
            }
            ("POST", "points/count") => {
                only(body, &["filter", "exact"])?;
                Ok(json!({ "count": collection.passing(&body["filter"])?.len() }))
            }
            ("POST", "points") => {
                only(body, &["ids", "with_payload"])?;
                let ids = body["ids"].as_array().ok_or_else(|| wrong("no ids"))?;
                let points = ids
                    .iter()
                    .filter_map(|id| collection.points.get(id.as_str()?));
                Ok(points.cloned().collect())
            }
            ("POST", "points/query/groups") => collection.query_groups(body),
            _ => Err((StatusCode::NOT_FOUND, format!("{method} {rest}"))),
        }
    }
}

impl Collection {
    fn upsert(&mut self, point: &Value) -> Result<(), Refusal> {
        only(point, &["id", "vector", "payload"])?;
        let id = point["id"].as_str().ok_or_else(|| wrong("no id"))?;
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        let hex = id.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
        if lengths != [8, 4, 4, 4, 12] || !hex {
            return Err(wrong(format!("value {id} is not a valid point ID")));
        }
        only(&point["vector"], &["words", "meaning"])?;
        if let Some(meaning) = point["vector"].get("meaning") {
            let size = self
                .config
                .pointer("/params/vectors/meaning/size")
                .and_then(Value::as_u64);
            let found = meaning.as_array().map(|vector| vector.len() as u64);
            if size != found {
                return Err(wrong("Wrong input: Vector dimension error"));
            }
        }
        if let Some(words) = point["vector"].get("words") {
            let indices = words["indices"]
                .as_array()
                .ok_or_else(|| wrong("no indices"))?;
            let unique: HashSet<_> = indices.iter().map(Value::as_u64).collect();
            if unique.len() != indices.len()
                || words["values"].as_array().map(Vec::len) != Some(indices.len())
            {
                return Err(wrong(
                    "Validation error: must be unique indices, same length as values",
                ));
            }
        }
        self.points.insert(id.to_owned(), point.clone());
        Ok(())
    }

    /// The ids of the points that a filter lets through.
    fn passing(&self, filter: &Value) -> Result<HashSet<String>, Refusal> {
        if !filter.is_null() {
            only(filter, &["must", "must_not"])?;
        }
        let mut ids = HashSet::new();
        for (id, point) in &self.points {
            let all = |key: &str, expected: bool| -> Result<bool, Refusal> {
                let conditions = filter.get(key).and_then(Value::as_array);
                for condition in conditions.into_iter().flatten() {
                    if self.holds(condition, &point["payload"])? != expected {
                        return Ok(false);
                    }
                }
                Ok(true)
            };
            if all("must", true)? && all("must_not", false)? {
                ids.insert(id.clone());
            }
        }
        Ok(ids)
    }

    fn holds(&self, condition: &Value, payload: &Value) -> Result<bool, Refusal> {
        if let Some(empty) = condition.get("is_empty") {
            let field = empty["key"].as_str().ok_or_else(|| wrong("no key"))?;
            return Ok(payload.get(field).is_none_or(Value::is_null));
        }
        only(condition, &["key", "match"])?;
        let field = condition["key"].as_str().ok_or_else(|| wrong("no key"))?;
        // The real server can be told to refuse this; a large collection would be scanned.
        if !self.fields.contains(field) {
            return Err(wrong(format!(
                "Bad request: Index required but not found for \"{field}\""
            )));
        }
        only(&condition["match"], &["value", "any"])?;
        let wanted = match (
            condition["match"].get("value"),
            condition["match"].get("any"),
        ) {
            (Some(value), None) => vec![value.clone()],
            (None, Some(Value::Array(values))) => values.clone(),
            _ => return Err(wrong("Format error in JSON body: match")),
        };
        let has = match payload.get(field) {
            Some(Value::Array(values)) => values.clone(),
            Some(value) => vec![value.clone()],
            None => Vec::new(),
        };
        Ok(has.iter().any(|value| wanted.contains(value)))
    }

    fn query_groups(&self, body: &Value) -> Result<Value, Refusal> {
        let allowed = [
            "query",
            "using",
            "limit",
            "group_by",
            "group_size",
            "with_payload",
            "filter",
        ];
        only(body, &allowed)?;
        let using = body["using"].as_str().ok_or_else(|| wrong("no using"))?;
        let passing = self.passing(&body["filter"])?;
        let points = self.points.iter().filter(|(id, _)| passing.contains(*id));
        let mut scored: Vec<(f64, &Value)> = points
            .filter_map(|(_, point)| {
                let vector = point["vector"].get(using)?;
                let score = if using == "words" {
                    self.product(&body["query"], vector)
                } else {
                    cosine(&body["query"], vector)
                };
                // A sparse vector without a common index is not found.
                (using != "words" || score > 0.0).then_some((score, point))
            })
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let field = body["group_by"]
            .as_str()
            .ok_or_else(|| wrong("no group_by"))?;
        let limit = usize::try_from(body["limit"].as_u64().unwrap_or(3)).unwrap();
        let mut groups: Vec<Value> = Vec::new();
        for (score, point) in scored {
            let key = &point["payload"][field];
            if groups.len() < limit && !groups.iter().any(|group| &group["id"] == key) {
                let mut payload = Map::new();
                for name in body["with_payload"].as_array().into_iter().flatten() {
                    let name = name.as_str().unwrap();
                    if let Some(value) = point["payload"].get(name) {
                        payload.insert(name.to_owned(), value.clone());
                    }
                }
                let hit =
                    json!({"id": point["id"], "version": 1, "score": score, "payload": payload});
                groups.push(json!({ "id": key, "hits": [hit] }));
            }
        }
        Ok(json!({ "groups": groups }))
    }

    /// The product of sparse vectors, each index weighed by how rare it is, as `modifier: idf` says.
    fn product(&self, query: &Value, vector: &Value) -> f64 {
        let of = |vector: &Value| -> HashMap<u64, f64> {
            let numbers = |key: &str| vector[key].as_array().cloned().unwrap_or_default();
            let indices = numbers("indices")
                .into_iter()
                .filter_map(|index| index.as_u64());
            indices
                .zip(
                    numbers("values")
                        .into_iter()
                        .filter_map(|value| value.as_f64()),
                )
                .collect()
        };
        let vector = of(vector);
        let count = f64::from(u32::try_from(self.points.len()).unwrap());
        let products = of(query).into_iter().filter_map(|(index, weight)| {
            let value = vector.get(&index)?;
            let has = |point: &&Value| {
                let indices = point
                    .pointer("/vector/words/indices")
                    .and_then(Value::as_array);
                indices.is_some_and(|indices| indices.contains(&json!(index)))
            };
            let with = f64::from(u32::try_from(self.points.values().filter(has).count()).unwrap());
            let rarity = ((count - with + 0.5) / (with + 0.5) + 1.0).ln();
            Some(weight * value * rarity)
        });
        products.sum()
    }
}

fn cosine(a: &Value, b: &Value) -> f64 {
    let numbers = |vector: &Value| -> Vec<f64> {
        let numbers = vector.as_array().into_iter().flatten();
        numbers.filter_map(Value::as_f64).collect()
    };
    let (a, b) = (numbers(a), numbers(b));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}
