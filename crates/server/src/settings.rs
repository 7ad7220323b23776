//! What the server works with, for those who would have it otherwise.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::door::Caller;

/// A setting as the server has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServedSetting {
    /// Its name, as in the configuration file.
    pub key: String,
    /// Its value as text; empty for one that is not set.
    pub value: String,
    /// Whether it is told to admins only: it says something of the server's machine.
    #[serde(skip)]
    pub is_private: bool,
}

/// What the server works with.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ServedSettings {
    /// The model, as its server calls it.
    pub model: String,
    /// The settings that decide how tasks are worked on; for whoever is no admin without those of the
    /// server's machine.
    pub settings: Vec<ServedSetting>,
}

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
