//! The routes, and the `OpenAPI` document that describes them.

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use bytes::Bytes;
use journeyman_api::Problem;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{App, TcpProtocols};
use crate::auth::Local;
use crate::body::BODY_MAX;
use crate::mount::MountedProtocol;
use crate::problem::{Rejection, defect};
use crate::{
    answers, erasure, events, files, forks, guard, health, hooks, interventions, knowledge,
    measure, metrics, mount, page, queue, request_id, settings, socket, stream, tasks, tools,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Journeyman",
        description = "A coding agent for small and local language models that never loses a step. Everything that happens \
            is an event with a sequence number, also called its position: it is the cursor of every list, stream and socket \
            (`/ws` and `/ws/{task_id}?after=N`)."
    ),
    components(schemas(Problem))
)]
struct Document;

fn documented() -> OpenApiRouter<App> {
    let api = OpenApiRouter::new()
        .routes(routes!(tasks::submit, tasks::list))
        .routes(routes!(tasks::get, erasure::delete))
        .routes(routes!(forks::retry))
        .routes(routes!(forks::fork))
        .routes(routes!(interventions::intervene))
        .routes(routes!(interventions::cancel))
        .routes(routes!(events::events))
        .routes(routes!(events::blob))
        .routes(routes!(events::lines))
        .routes(routes!(stream::stream))
        .routes(routes!(files::files))
        .routes(routes!(knowledge::context))
        .routes(routes!(knowledge::context_diff))
        .routes(routes!(knowledge::summary))
        .routes(routes!(knowledge::graph))
        .routes(routes!(knowledge::graph_svg))
        .routes(routes!(knowledge::graph_dot))
        .routes(routes!(knowledge::search))
        .routes(routes!(tools::list))
        .routes(routes!(tools::call))
        .routes(routes!(tools::agents))
        .routes(routes!(queue::get, queue::change))
        .routes(routes!(hooks::list))
        .routes(routes!(hooks::retry))
        .routes(routes!(settings::settings))
        .routes(routes!(health::ticket))
        .routes(routes!(metrics::all))
        .routes(routes!(metrics::timing));
    OpenApiRouter::with_openapi(Document::openapi())
        .nest("/api/v1", api)
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::text))
}

/// The error responses that every operation may give.
const PROBLEMS: [(&str, &str); 11] = [
    ("400", "The request is malformed"),
    ("401", "The token is missing or unknown"),
    ("403", "The caller lacks the permission"),
    ("404", "The resource does not exist"),
    ("409", "The request conflicts with the current state"),
    (
        "410",
        "The task was erased; the answer says when, by whom and why",
    ),
    ("413", "The request is too large"),
    ("415", "The body is not JSON"),
    ("422", "The value of a field is invalid"),
    (
        "429",
        "The queue is full; `Retry-After` says when to try again",
    ),
    (
        "503",
        "The server cannot do this now; `Retry-After` says when to try again",
    ),
];

/// The `OpenAPI` document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    // The path of a file may contain slashes, which a path template of the document cannot express.
    let (_, file) = OpenApiRouter::<App>::new()
        .routes(routes!(files::file))
        .split_for_parts();
    let (_, mut document) = documented().split_for_parts();
    for (path, item) in file.paths.paths {
        document.paths.paths.insert(format!("/api/v1{path}"), item);
    }
    let problem = || {
        let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
        ContentBuilder::new().schema(Some(schema)).build()
    };
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().filter_map(Option::as_mut) {
            drop_null_types(operation);
            document_conditions(operation, problem());
            let known = &mut operation.responses.responses;
            for (status, words) in PROBLEMS {
                known.entry(status.to_owned()).or_insert_with(|| {
                    let content = problem();
                    let response = ResponseBuilder::new()
                        .description(words)
                        .content("application/problem+json", content);
                    RefOr::T(response.build())
                });
            }
        }
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    journeyman_api::schema::close_interventions(&mut components.schemas);
    journeyman_api::schema::name_languages(&mut components.schemas, &journeyman_language::names());
    document
}

/// Adds the responses 304 and 412 to an operation that takes `If-None-Match` or `If-Match`.
fn document_conditions(operation: &mut Operation, problem: Content) {
    let parameters = operation.parameters.iter().flatten();
    let names: Vec<String> = parameters
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter.name.clone()),
            RefOr::Ref(_) => None,
        })
        .collect();
    let has = |header: &str| names.iter().any(|name| name == header);
    let known = &mut operation.responses.responses;
    if has("If-None-Match") {
        let words = "The client has this response already: `If-None-Match` names its tag";
        let response = ResponseBuilder::new().description(words).build();
        known.insert("304".to_owned(), RefOr::T(response));
    }
    if has("If-Match") {
        let words = "The current tag or version is not among those in `If-Match`; `version` and `ETag` give the current ones";
        let response = ResponseBuilder::new().description(words);
        let response = response.content("application/problem+json", problem);
        known.insert("412".to_owned(), RefOr::T(response.build()));
    }
}

/// Removes `null` from the types of optional parameters: in a query it would be a string, and leaving the parameter
/// out is the way to give no value.
fn drop_null_types(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
            && let SchemaType::Array(types) = &mut schema.schema_type
        {
            types.retain(|one| *one != Type::Null);
            if let [one] = types.as_slice() {
                schema.schema_type = SchemaType::Type(one.clone());
            }
        }
    }
}

/// The router with all routes.
pub(crate) fn router(app: App) -> Router {
    let (api, _) = documented().split_for_parts();
    let document = Bytes::from(serde_json::to_vec(&openapi()).unwrap_or_default());
    let api = api.route("/api/v1/tasks/{task_id}/files/{*path}", get(files::file));
    let behind = api.clone().layer(DefaultBodyLimit::max(BODY_MAX));
    let behind = behind.with_state(app.clone());
    let mounted = app.mounted.as_ref();
    let mounted = mounted.map(|mounted| mount::router(&app, mounted, behind));
    api.route(
        "/api/v1/openapi.json",
        get(|| async move { ([(header::CONTENT_TYPE, "application/json")], document) }),
    )
    .route("/ws", get(socket::all))
    .route("/ws/{task_id}", get(socket::one))
    .route("/", get(page::page))
    .route("/page.js", get(page::script))
    .route("/page.css", get(page::style))
    .layer(middleware::from_fn_with_state(app.clone(), answers::count))
    .layer(middleware::from_fn_with_state(
        app.clone(),
        measure::measure,
    ))
    .with_state(app.clone())
    .merge(mounted.unwrap_or_default())
    .fallback(nothing)
    .method_not_allowed_fallback(wrong_method)
    .layer(DefaultBodyLimit::max(BODY_MAX))
    .layer(middleware::from_fn_with_state(app.clone(), only_offered))
    .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
    .layer(CatchPanicLayer::custom(panicked))
    .layer(middleware::from_fn_with_state(app, request_id::identify))
}

/// Lets only requests through whose protocol is available to the caller.
async fn only_offered(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_local = request.extensions().get::<Local>().is_some();
    if is_local || app.tcp == TcpProtocols::Everything {
        return next.run(request).await;
    }
    let detail = match &app.mounted {
        Some(mounted) if mounted.is_at(request.uri().path()) => return next.run(request).await,
        Some(MountedProtocol { name, path, .. }) => {
            format!("this server offers only {name} on this port, at {path}")
        }
        None => "this server offers nothing on this port".to_owned(),
    };
    Problem::not_found(detail).into_response()
}

async fn nothing(request: Request) -> Rejection {
    let detail = format!(
        "nothing exists at {}; /api/v1/openapi.json lists the paths",
        request.uri().path()
    );
    Problem::not_found(detail).into()
}

async fn wrong_method(request: Request) -> Rejection {
    let detail = format!(
        "the method {} is not supported at {}; the header `Allow` lists those that are",
        request.method(),
        request.uri().path()
    );
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", detail).into()
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a request panicked");
    defect().into_response()
}
