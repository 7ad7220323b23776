//! Hooks: their status, and retrying them.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use journeyman_api::{HookList, HookPath, HookView, Nothing};
use journeyman_hooks::Scope;
use journeyman_tasks::check_may_change;

use crate::app::App;
use crate::auth::Caller;
use crate::body::MaybeBody;
use crate::problem::Rejection;
use crate::query::bad_path;

/// The hooks that a caller may see: all for an admin, otherwise the webhooks of the caller's tasks.
fn scope(caller: &Caller) -> Scope {
    match caller.may_see_server() {
        Ok(()) => Scope::All,
        Err(_) => Scope::Owner(caller.principal.owner().clone()),
    }
}

/// List the hooks (the command that runs when a task ends, and webhooks) and their status.
#[utoipa::path(get, path = "/hooks", tag = "hooks", responses((status = 200, body = HookList)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<HookList>, Rejection> {
    let hooks = app.hooks.list(&scope(&caller)).await?;
    Ok(Json(HookList { hooks }))
}

/// Retry all pending and dead deliveries of a hook now, and enable the hook if it was disabled.
#[utoipa::path(
    post, path = "/hooks/{hook}/retry", tag = "hooks", params(HookPath),
    request_body = Option<Nothing>, responses((status = 200, body = HookView)),
)]
pub(crate) async fn retry(
    State(app): State<App>,
    caller: Caller,
    hook: Result<Path<String>, PathRejection>,
    MaybeBody(Nothing {}): MaybeBody<Nothing>,
) -> Result<Json<HookView>, Rejection> {
    check_may_change(&caller.principal)?;
    let Path(hook) = hook.map_err(bad_path)?;
    Ok(Json(app.hooks.retry(&hook, &scope(&caller)).await?))
}
