//! One collection of a Qdrant server: what we ask of it, by Qdrant's own client.

use std::{collections::HashMap, time::Duration};

use qdrant_client::{
    Payload, Qdrant as Client, QdrantError,
    qdrant::{
        CountPointsBuilder, CreateCollectionBuilder, CreateFieldIndexCollectionBuilder,
        DeletePointsBuilder, Distance, FieldType, Filter, GetPointsBuilder, Modifier, NamedVectors,
        PointStruct, Query, QueryPointGroupsBuilder, ScoredPoint, SparseVectorParamsBuilder,
        SparseVectorsConfigBuilder, UpsertPointsBuilder, Value, VectorParamsBuilder,
        VectorsConfigBuilder, vectors_config::Config,
    },
};
use tokio::time;
use tonic::Code;

use super::{
    Cluster,
    fault::Fault,
    points::{MEANING, SHOWN, WORDS},
};

/// An answer that is late is asked for once more over a new connection, by the client: one that a
/// firewall has forgotten is only noticed so.
const ATTEMPTS: u32 = 2;

pub(super) struct Collection {
    client: Client,
    name: String,
    /// How long all attempts at an answer may take, with connecting.
    patience: Duration,
}

/// What vectors of the meaning a collection is made for.
pub(super) struct Found {
    /// None: it has no such vectors.
    pub(super) dimensions: Option<u64>,
}

impl Collection {
    /// Connects with the first question.
    pub(super) fn new(cluster: &Cluster) -> Result<Self, Fault> {
        let client = Client::from_url(&cluster.url)
            .api_key(cluster.api_key.clone())
            .timeout(cluster.timeout)
            .connect_timeout(cluster.timeout)
            // It would print what it finds.
            .skip_compatibility_check()
            .build()?;
        Ok(Self {
            client,
            name: cluster.collection.clone(),
            patience: cluster.timeout * ATTEMPTS,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the collection is; none if there is none.
    pub(super) async fn find(&self) -> Result<Option<Found>, Fault> {
        let info = match self.ask(self.client.collection_info(&self.name)).await {
            Err(Fault::Refused {
                code: Code::NotFound,
                ..
            }) => return Ok(None),
            info => info?.result,
        };
        let params = info.and_then(|info| info.config?.params);
        let dimensions = match params.and_then(|params| params.vectors_config?.config) {
            Some(Config::ParamsMap(vectors)) => vectors.map.get(MEANING).map(|params| params.size),
            _ => None,
        };
        Ok(Some(Found { dimensions }))
    }

    /// Makes it, for vectors of the meaning if they have `dimensions`.
    pub(super) async fn make(&self, dimensions: Option<u64>) -> Result<(), Fault> {
        // Qdrant weighs the words by how rare they are in the collection.
        let mut words = SparseVectorsConfigBuilder::default();
        words.add_named_vector_params(
            WORDS,
            SparseVectorParamsBuilder::default().modifier(Modifier::Idf),
        );
        let mut collection = CreateCollectionBuilder::new(&self.name).sparse_vectors_config(words);
        if let Some(size) = dimensions {
            let params = VectorParamsBuilder::new(size, Distance::Cosine).on_disk(true);
            let mut meaning = VectorsConfigBuilder::default();
            meaning.add_named_vector_params(MEANING, params);
            collection = collection.vectors_config(meaning);
        }
        self.ask(self.client.create_collection(collection)).await?;
        Ok(())
    }

    /// Has a field of the payload indexed: filters and groups need it.
    pub(super) async fn make_field(&self, field: &str, kind: FieldType) -> Result<(), Fault> {
        let field = CreateFieldIndexCollectionBuilder::new(&self.name, field, kind).wait(true);
        self.ask(self.client.create_field_index(field)).await?;
        Ok(())
    }

    pub(super) async fn upsert(&self, points: Vec<PointStruct>) -> Result<(), Fault> {
        let points = UpsertPointsBuilder::new(&self.name, points).wait(true);
        self.ask(self.client.upsert_points(points)).await?;
        Ok(())
    }

    pub(super) async fn delete(&self, filter: Filter) -> Result<(), Fault> {
        let points = DeletePointsBuilder::new(&self.name)
            .points(filter)
            .wait(true);
        self.ask(self.client.delete_points(points)).await?;
        Ok(())
    }

    pub(super) async fn count(&self, filter: Filter) -> Result<u64, Fault> {
        let points = CountPointsBuilder::new(&self.name)
            .filter(filter)
            .exact(true);
        let answer = self.ask(self.client.count(points)).await?;
        Ok(answer.result.unwrap_or_default().count)
    }

    /// The points nearest by one of the vectors, at most `limit`, one of each document.
    pub(super) async fn nearest(
        &self,
        query: Query,
        using: &str,
        filter: Filter,
        limit: usize,
    ) -> Result<Vec<ScoredPoint>, Fault> {
        let groups = QueryPointGroupsBuilder::new(&self.name, "id")
            .query(query)
            .using(using)
            .filter(filter)
            .group_size(1_u64)
            .limit(limit as u64)
            .with_payload(SHOWN.to_vec());
        let answer = self.ask(self.client.query_groups(groups)).await?;
        let groups = answer.result.unwrap_or_default().groups;
        let first = groups
            .into_iter()
            .map(|group| group.hits.into_iter().next());
        Ok(first.flatten().collect())
    }

    /// The payload of a point; none if there is no such point.
    pub(super) async fn payload(&self, id: &str) -> Result<Option<HashMap<String, Value>>, Fault> {
        let points = GetPointsBuilder::new(&self.name, [id.into()]).with_payload(true);
        let answer = self.ask(self.client.get_points(points)).await?;
        Ok(answer.result.into_iter().next().map(|point| point.payload))
    }

    /// Writes a point that is no passage.
    pub(super) async fn set_payload(&self, id: &str, payload: Payload) -> Result<(), Fault> {
        let point = PointStruct::new(id, NamedVectors::default(), payload);
        self.upsert(vec![point]).await
    }

    fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, QdrantError>>,
    ) -> impl Future<Output = Result<T, Fault>> {
        // The client's futures take many kilobytes.
        let answer = time::timeout(self.patience, Box::pin(question));
        async move {
            match answer.await {
                Ok(answer) => answer.map_err(Fault::from),
                Err(_) => Err(Fault::Late),
            }
        }
    }
}
