//! The peer's points: what may be written, which a filter lets through, and which are nearest.

use std::collections::{BTreeMap, HashMap, HashSet};

use qdrant_client::qdrant::{
    CollectionConfig, CollectionInfo, CollectionParams, Condition, FieldType, Filter, GroupId,
    Modifier, NamedVectors, PointGroup, PointId, PointStruct, QueryPointGroups, RetrievedPoint,
    ScoredPoint, SparseVector, SparseVectorConfig, Value, VectorParams, VectorsConfig,
    condition::ConditionOneOf, group_id, r#match::MatchValue, point_id::PointIdOptions, query,
    value::Kind, vector, vector_input, vectors::VectorsOptions, vectors_config::Config,
    with_payload_selector::SelectorOptions,
};
use tonic::Status;

use super::{nothing_else, wrong};

#[derive(Default)]
pub(super) struct Collection {
    params: CollectionParams,
    meaning: HashMap<String, VectorParams>,
    fields: HashMap<String, FieldType>,
    points: BTreeMap<String, Point>,
}

struct Point {
    vectors: HashMap<String, vector::Vector>,
    payload: HashMap<String, Value>,
}

impl Collection {
    pub(super) fn new(
        vectors: Option<VectorsConfig>,
        words: Option<SparseVectorConfig>,
    ) -> Result<Self, Status> {
        let meaning = match vectors.clone().map(|vectors| vectors.config) {
            None => HashMap::new(),
            Some(Some(Config::ParamsMap(vectors))) => vectors.map,
            Some(_) => return Err(wrong("vectors_config: only named ones")),
        };
        let idf = |modifier| modifier == Some(Modifier::Idf.into());
        if !words
            .iter()
            .flat_map(|words| words.map.values())
            .all(|words| idf(words.modifier))
        {
            return Err(wrong("sparse_vectors_config: only with idf"));
        }
        let params = CollectionParams {
            vectors_config: vectors,
            sparse_vectors_config: words,
            ..Default::default()
        };
        Ok(Self {
            params,
            meaning,
            ..Self::default()
        })
    }

    pub(super) fn info(&self) -> CollectionInfo {
        CollectionInfo {
            points_count: Some(self.points.len() as u64),
            config: Some(CollectionConfig {
                params: Some(self.params.clone()),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    pub(super) fn make_field(&mut self, field: String, kind: FieldType) {
        self.fields.insert(field, kind);
    }

    pub(super) fn upsert(&mut self, point: PointStruct) -> Result<(), Status> {
        let id = uuid(point.id.as_ref())?;
        let Some(VectorsOptions::Vectors(NamedVectors { vectors })) =
            point.vectors.and_then(|vectors| vectors.vectors_options)
        else {
            return Err(wrong("Expected some vectors"));
        };
        let mut kept = HashMap::new();
        for (name, vector) in vectors {
            let vector = vector.vector.ok_or_else(|| wrong("Vector: no vector"))?;
            self.check(&name, &vector)?;
            kept.insert(name, vector);
        }
        let point = Point {
            vectors: kept,
            payload: point.payload,
        };
        self.points.insert(id.to_owned(), point);
        Ok(())
    }

    /// A vector must be of the kind that its name stands for.
    fn check(&self, name: &str, vector: &vector::Vector) -> Result<(), Status> {
        let sparse = self.params.sparse_vectors_config.as_ref();
        match (vector, self.meaning.get(name)) {
            (vector::Vector::Dense(dense), Some(params)) => {
                if dense.data.len() as u64 != params.size {
                    return Err(wrong("Wrong input: Vector dimension error"));
                }
            }
            (vector::Vector::Sparse(SparseVector { values, indices }), None)
                if sparse.is_some_and(|sparse| sparse.map.contains_key(name)) =>
            {
                let unique: HashSet<_> = indices.iter().collect();
                if unique.len() != indices.len() || values.len() != indices.len() {
                    return Err(wrong(
                        "Validation error: must be unique indices, same length as values",
                    ));
                }
            }
            _ => {
                let message = format!("Wrong input: Not existing vector name error: {name}");
                return Err(wrong(message));
            }
        }
        Ok(())
    }

    pub(super) fn points(&self, ids: &[PointId]) -> Result<Vec<RetrievedPoint>, Status> {
        let mut points = Vec::new();
        for id in ids {
            if let Some(point) = self.points.get(uuid(Some(id))?) {
                points.push(RetrievedPoint {
                    id: Some(id.clone()),
                    payload: point.payload.clone(),
                    ..Default::default()
                });
            }
        }
        Ok(points)
    }

    pub(super) fn delete(&mut self, filter: Filter) -> Result<(), Status> {
        let gone = self.passing(filter)?;
        self.points.retain(|id, _| !gone.contains(id));
        Ok(())
    }

    /// The ids of the points that a filter lets through.
    pub(super) fn passing(&self, mut filter: Filter) -> Result<HashSet<String>, Status> {
        let must = std::mem::take(&mut filter.must);
        let must_not = std::mem::take(&mut filter.must_not);
        nothing_else(&filter)?;
        let mut ids = HashSet::new();
        for (id, point) in &self.points {
            let all = |conditions: &[Condition], expected: bool| -> Result<bool, Status> {
                for condition in conditions {
                    if self.holds(condition, &point.payload)? != expected {
                        return Ok(false);
                    }
                }
                Ok(true)
            };
            if all(&must, true)? && all(&must_not, false)? {
                ids.insert(id.clone());
            }
        }
        Ok(ids)
    }

    fn holds(
        &self,
        condition: &Condition,
        payload: &HashMap<String, Value>,
    ) -> Result<bool, Status> {
        let mut condition = match &condition.condition_one_of {
            Some(ConditionOneOf::IsEmpty(empty)) => return Ok(!payload.contains_key(&empty.key)),
            Some(ConditionOneOf::Field(condition)) => condition.clone(),
            other => return Err(wrong(format!("Format error: condition {other:?}"))),
        };
        let field = std::mem::take(&mut condition.key);
        let wanted = condition
            .r#match
            .take()
            .and_then(|wanted| wanted.match_value);
        nothing_else(&condition)?;
        let (kind, wanted) = match wanted {
            Some(MatchValue::Keyword(text)) => (FieldType::Keyword, vec![text.into()]),
            Some(MatchValue::Keywords(texts)) => {
                let texts = texts.strings.into_iter().map(Value::from);
                (FieldType::Keyword, texts.collect())
            }
            Some(MatchValue::Boolean(flag)) => (FieldType::Bool, vec![flag.into()]),
            // Of a text the real server looks for words, and finds others too.
            other => return Err(wrong(format!("Format error: match {other:?}"))),
        };
        self.is_indexed(&field, kind)?;
        let has = match payload.get(&field) {
            Some(Value {
                kind: Some(Kind::ListValue(list)),
            }) => list.values.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => &[],
        };
        Ok(has.iter().any(|value| wanted.contains(value)))
    }

    /// The real server can be told to refuse other fields; a large collection would be scanned.
    fn is_indexed(&self, field: &str, kind: FieldType) -> Result<(), Status> {
        if self.fields.get(field) == Some(&kind) {
            return Ok(());
        }
        Err(wrong(format!(
            "Bad request: Index required but not found for \"{field}\""
        )))
    }

    /// Takes from the request what it knows of it.
    pub(super) fn query_groups(
        &self,
        request: &mut QueryPointGroups,
    ) -> Result<Vec<PointGroup>, Status> {
        let using = request.using.take().ok_or_else(|| wrong("no using"))?;
        let query = match request.query.take().and_then(|query| query.variant) {
            Some(query::Variant::Nearest(input)) => match input.variant {
                Some(vector_input::Variant::Dense(dense)) => vector::Vector::Dense(dense),
                Some(vector_input::Variant::Sparse(sparse)) => vector::Vector::Sparse(sparse),
                other => return Err(wrong(format!("Format error: vector {other:?}"))),
            },
            other => return Err(wrong(format!("Format error: query {other:?}"))),
        };
        self.check(&using, &query)?;
        let field = std::mem::take(&mut request.group_by);
        self.is_indexed(&field, FieldType::Keyword)?;
        if request.group_size.take() != Some(1) {
            return Err(wrong("group_size: only 1"));
        }
        let limit = usize::try_from(request.limit.take().unwrap_or(3)).unwrap();
        let shown = request.with_payload.take();
        let Some(SelectorOptions::Include(shown)) = shown.and_then(|shown| shown.selector_options)
        else {
            return Err(wrong("with_payload: only some fields"));
        };
        let passing = self.passing(request.filter.take().unwrap_or_default())?;
        let points = self.points.iter().filter(|(id, _)| passing.contains(*id));
        let mut scored: Vec<_> = points
            .filter_map(|(id, point)| Some((self.score(&query, &using, point)?, id, point)))
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut groups: Vec<PointGroup> = Vec::new();
        for (score, id, point) in scored {
            let Some(Kind::StringValue(key)) =
                point.payload.get(&field).and_then(|v| v.kind.clone())
            else {
                continue;
            };
            let key = Some(GroupId::from(group_id::Kind::StringValue(key)));
            if groups.len() < limit && !groups.iter().any(|group| group.id == key) {
                let mut payload = point.payload.clone();
                payload.retain(|field, _| shown.fields.contains(field));
                let hit = ScoredPoint {
                    id: Some(id.as_str().into()),
                    version: 1,
                    score,
                    payload,
                    ..Default::default()
                };
                groups.push(PointGroup {
                    id: key,
                    hits: vec![hit],
                    lookup: None,
                });
            }
        }
        Ok(groups)
    }

    /// How near a point is; none if it is not found at all.
    fn score(&self, query: &vector::Vector, using: &str, point: &Point) -> Option<f32> {
        match (query, point.vectors.get(using)?) {
            (vector::Vector::Dense(query), vector::Vector::Dense(vector)) => {
                Some(cosine(&query.data, &vector.data))
            }
            (vector::Vector::Sparse(query), vector::Vector::Sparse(vector)) => {
                // A sparse vector without a common index is not found.
                Some(self.product(query, vector, using)).filter(|score| *score > 0.0)
            }
            _ => None,
        }
    }

    /// The product of sparse vectors, each index weighed by how rare it is, as the modifier idf says.
    fn product(&self, query: &SparseVector, vector: &SparseVector, using: &str) -> f32 {
        let count = self.points.len();
        let products = query
            .indices
            .iter()
            .zip(&query.values)
            .map(|(index, weight)| {
                let at = vector.indices.iter().position(|other| other == index);
                let has = |point: &&Point| match point.vectors.get(using) {
                    Some(vector::Vector::Sparse(vector)) => vector.indices.contains(index),
                    _ => false,
                };
                at.map_or(0.0, |at| {
                    let with = self.points.values().filter(has).count();
                    weight * vector.values[at] * rarity(count, with)
                })
            });
        products.sum()
    }
}

/// Points have UUIDs.
fn uuid(id: Option<&PointId>) -> Result<&str, Status> {
    let Some(PointIdOptions::Uuid(id)) = id.and_then(|id| id.point_id_options.as_ref()) else {
        return Err(wrong("no id"));
    };
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    let hex = id.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    if lengths != [8, 4, 4, 4, 12] || !hex {
        return Err(wrong(format!("Unable to parse UUID: {id}")));
    }
    Ok(id)
}

/// Of so many points, so many have an index.
#[expect(clippy::cast_precision_loss, reason = "a test has few points")]
fn rarity(count: usize, with: usize) -> f32 {
    let (count, with) = (count as f32, with as f32);
    ((count - with + 0.5) / (with + 0.5) + 1.0).ln()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}
