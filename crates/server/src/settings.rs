//! The settings of the server, for clients that want to override them.

use axum::Json;
use axum::extract::State;
use journeyman_api::ServedSettings;

use crate::app::App;
use crate::auth::Caller;

/// Get the settings that tasks are worked on with.
#[utoipa::path(get, path = "/settings", tag = "server", responses((status = 200, body = ServedSettings)))]
pub(crate) async fn settings(State(app): State<App>, caller: Caller) -> Json<ServedSettings> {
    let sees_all = caller.may_see_server().is_ok();
    let settings = app.settings.iter();
    let told = settings.filter(|setting| sees_all || !setting.is_private);
    Json(ServedSettings {
        model: app.model.clone(),
        settings: told.cloned().collect(),
    })
}
