//! The peer's methods.

use std::{
    fmt::Debug,
    mem::take,
    sync::{Arc, Mutex},
};

use qdrant_client::qdrant::{
    self as api, collections_server::Collections as CollectionsService,
    points_selector::PointsSelectorOneOf, points_server::Points as PointsService,
};
use tonic::{Request, Response, Status};

use super::{Collection, Collections, nothing_else, wrong};

#[derive(Clone)]
pub(super) struct Services(pub(super) Arc<Mutex<Collections>>);

type Answer<T> = Result<Response<T>, Status>;

impl Services {
    /// Answers with what `answer` makes of the request, of which it takes all that it knows.
    fn answer<Q: Default + PartialEq + Debug, A>(
        &self,
        request: Request<Q>,
        answer: impl FnOnce(&mut Collections, &mut Q) -> Result<A, Status>,
    ) -> Answer<A> {
        let mut collections = self.0.lock().unwrap();
        collections.admit(request.metadata())?;
        let mut request = request.into_inner();
        let answer = answer(&mut collections, &mut request)?;
        nothing_else(&request)?;
        Ok(Response::new(answer))
    }
}

/// Implements a service: the methods that the backend uses, and refusals for the others.
macro_rules! service {
    ($service:ident { $($used:tt)* } refuses { $($name:ident($question:ident) -> $answer:ident;)* }) => {
        #[tonic::async_trait]
        impl $service for Services {
            $($used)*
            $(
                async fn $name(&self, _: Request<api::$question>) -> Answer<api::$answer> {
                    Err(Status::unimplemented(stringify!($name)))
                }
            )*
        }
    };
}

service! {
    CollectionsService {
        async fn get(
            &self,
            request: Request<api::GetCollectionInfoRequest>,
        ) -> Answer<api::GetCollectionInfoResponse> {
            self.answer(request, |collections, request| {
                let collection = collections.get(&take(&mut request.collection_name))?;
                Ok(api::GetCollectionInfoResponse { result: Some(collection.info()), time: 0.001 })
            })
        }

        async fn create(
            &self,
            request: Request<api::CreateCollection>,
        ) -> Answer<api::CollectionOperationResponse> {
            self.answer(request, |collections, request| {
                let name = take(&mut request.collection_name);
                if collections.by_name.contains_key(&name) {
                    let message = format!("Wrong input: Collection `{name}` already exists!");
                    return Err(Status::already_exists(message));
                }
                let vectors = request.vectors_config.take();
                let words = request.sparse_vectors_config.take();
                collections.by_name.insert(name, Collection::new(vectors, words)?);
                Ok(api::CollectionOperationResponse { result: true, time: 0.001 })
            })
        }
    } refuses {
        list(ListCollectionsRequest) -> ListCollectionsResponse;
        update(UpdateCollection) -> CollectionOperationResponse;
        delete(DeleteCollection) -> CollectionOperationResponse;
        update_aliases(ChangeAliases) -> CollectionOperationResponse;
        list_collection_aliases(ListCollectionAliasesRequest) -> ListAliasesResponse;
        list_aliases(ListAliasesRequest) -> ListAliasesResponse;
        collection_cluster_info(CollectionClusterInfoRequest) -> CollectionClusterInfoResponse;
        collection_exists(CollectionExistsRequest) -> CollectionExistsResponse;
        update_collection_cluster_setup(UpdateCollectionClusterSetupRequest)
            -> UpdateCollectionClusterSetupResponse;
        create_shard_key(CreateShardKeyRequest) -> CreateShardKeyResponse;
        delete_shard_key(DeleteShardKeyRequest) -> DeleteShardKeyResponse;
        list_shard_keys(ListShardKeysRequest) -> ListShardKeysResponse;
    }
}

service! {
    PointsService {
        async fn upsert(
            &self,
            request: Request<api::UpsertPoints>,
        ) -> Answer<api::PointsOperationResponse> {
            self.answer(request, |collections, request| {
                let collection = collections.get(&take(&mut request.collection_name))?;
                for point in take(&mut request.points) {
                    collection.upsert(point)?;
                }
                done(request.wait.take())
            })
        }

        async fn delete(
            &self,
            request: Request<api::DeletePoints>,
        ) -> Answer<api::PointsOperationResponse> {
            self.answer(request, |collections, request| {
                let collection = collections.get(&take(&mut request.collection_name))?;
                let points = request.points.take().and_then(|points| points.points_selector_one_of);
                let Some(PointsSelectorOneOf::Filter(filter)) = points else {
                    return Err(wrong("PointsSelector: no filter"));
                };
                collection.delete(filter)?;
                done(request.wait.take())
            })
        }

        async fn get(&self, request: Request<api::GetPoints>) -> Answer<api::GetResponse> {
            self.answer(request, |collections, request| {
                let collection = collections.get(&take(&mut request.collection_name))?;
                if request.with_payload.take() != Some(true.into()) {
                    return Err(wrong("with_payload: only whole ones"));
                }
                let result = collection.points(&take(&mut request.ids))?;
                Ok(api::GetResponse { result, ..Default::default() })
            })
        }

        async fn create_field_index(
            &self,
            request: Request<api::CreateFieldIndexCollection>,
        ) -> Answer<api::PointsOperationResponse> {
            self.answer(request, |collections, request| {
                let collection = collections.get(&take(&mut request.collection_name))?;
                let kind = request.field_type.take();
                let kind = kind.and_then(|kind| api::FieldType::try_from(kind).ok());
                let kind = kind.ok_or_else(|| wrong("cannot convert field_type: none"))?;
                collection.make_field(take(&mut request.field_name), kind);
                done(request.wait.take())
            })
        }

        async fn count(&self, request: Request<api::CountPoints>) -> Answer<api::CountResponse> {
            self.answer(request, |collections, request| {
                let collection = collections.get(&take(&mut request.collection_name))?;
                if request.exact.take() != Some(true) {
                    return Err(wrong("exact: only exact ones"));
                }
                let filter = request.filter.take().unwrap_or_default();
                let count = collection.passing(filter)?.len() as u64;
                let result = Some(api::CountResult { count });
                Ok(api::CountResponse { result, ..Default::default() })
            })
        }

        async fn query_groups(
            &self,
            request: Request<api::QueryPointGroups>,
        ) -> Answer<api::QueryGroupsResponse> {
            self.answer(request, |collections, request| {
                let collection = collections.get(&take(&mut request.collection_name))?;
                let groups = collection.query_groups(request)?;
                let result = Some(api::GroupsResult { groups });
                Ok(api::QueryGroupsResponse { result, ..Default::default() })
            })
        }
    } refuses {
        update_vectors(UpdatePointVectors) -> PointsOperationResponse;
        delete_vectors(DeletePointVectors) -> PointsOperationResponse;
        set_payload(SetPayloadPoints) -> PointsOperationResponse;
        overwrite_payload(SetPayloadPoints) -> PointsOperationResponse;
        delete_payload(DeletePayloadPoints) -> PointsOperationResponse;
        clear_payload(ClearPayloadPoints) -> PointsOperationResponse;
        delete_field_index(DeleteFieldIndexCollection) -> PointsOperationResponse;
        create_vector_name(CreateVectorNameRequest) -> PointsOperationResponse;
        delete_vector_name(DeleteVectorNameRequest) -> PointsOperationResponse;
        search(SearchPoints) -> SearchResponse;
        search_batch(SearchBatchPoints) -> SearchBatchResponse;
        search_groups(SearchPointGroups) -> SearchGroupsResponse;
        scroll(ScrollPoints) -> ScrollResponse;
        recommend(RecommendPoints) -> RecommendResponse;
        recommend_batch(RecommendBatchPoints) -> RecommendBatchResponse;
        recommend_groups(RecommendPointGroups) -> RecommendGroupsResponse;
        discover(DiscoverPoints) -> DiscoverResponse;
        discover_batch(DiscoverBatchPoints) -> DiscoverBatchResponse;
        update_batch(UpdateBatchPoints) -> UpdateBatchResponse;
        query(QueryPoints) -> QueryResponse;
        query_batch(QueryBatchPoints) -> QueryBatchResponse;
        facet(FacetCounts) -> FacetResponse;
        search_matrix_pairs(SearchMatrixPoints) -> SearchMatrixPairsResponse;
        search_matrix_offsets(SearchMatrixPoints) -> SearchMatrixOffsetsResponse;
    }
}

/// The answer to a write, which must have been waited for.
fn done(wait: Option<bool>) -> Result<api::PointsOperationResponse, Status> {
    if wait != Some(true) {
        return Err(wrong("wait: the backend's next request relies on this one"));
    }
    let result = Some(api::UpdateResult {
        operation_id: Some(1),
        status: api::UpdateStatus::Completed.into(),
    });
    Ok(api::PointsOperationResponse {
        result,
        ..Default::default()
    })
}
