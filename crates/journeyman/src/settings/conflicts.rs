//! Conflicts between the settings of a command and those of the process that works on the tasks.

use journeyman_api::{ServedSetting, ServedSettings};
use journeyman_event::TaskState;

use super::table::{MCP_SERVERS, NOT_SERVED, OF_WORK, PRIVATE, SECRETS, Unavailable};
use super::{Found, Origin, Settings};

/// What was asked for and cannot be had, in words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Conflicts {
    /// Who works on the tasks, worded for a person.
    pub(crate) with: String,
    /// Conflicts that would change the result.
    pub(crate) refused: Vec<String>,
    /// Conflicts that are only reported.
    pub(crate) told: Vec<String>,
    /// The model they use, if a different one would be used here and no model was requested.
    pub(crate) other_model: Option<OtherModel>,
}

/// The model of the process that works on the tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OtherModel {
    /// The model worded for a person.
    pub(crate) what: String,
    /// The flag that selects it.
    pub(crate) flag: String,
}

impl Conflicts {
    /// Fails if the result would be different from what was requested.
    pub(crate) fn refuse(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.refused.is_empty(),
            "{} works on all tasks, and not as this command asks for: {}; leave that out to have it done \
             there, or end that process first",
            self.with,
            self.refused.join("; ")
        );
        Ok(())
    }
}

impl Settings {
    /// The settings with which this process works on tasks, as its server reports them.
    pub(crate) fn served(&self) -> Vec<ServedSetting> {
        let told = OF_WORK.iter().filter(|(key, _)| !NOT_SERVED.contains(key));
        let of_work = told.filter_map(|(key, _)| self.find(key));
        let mut served: Vec<ServedSetting> = of_work
            .map(|found| setting(found.key, found.value.clone()))
            .collect();
        served.push(setting(MCP_SERVERS, self.server_names()));
        served
    }

    /// The settings that `with`, whose settings are `theirs`, does not satisfy. Settings with default values
    /// were not requested.
    pub(crate) fn conflicts(&self, with: String, theirs: &ServedSettings) -> Conflicts {
        let has = |key: &str| {
            let mut all = theirs.settings.iter();
            all.find(|setting| setting.key == key)
                .map(|setting| setting.value.as_str())
        };
        let mut conflicts = Conflicts {
            with,
            refused: Vec::new(),
            told: Vec::new(),
            other_model: self.other_model(&theirs.model, has("model.name"), has("model.url")),
        };
        for (key, unavailable) in OF_WORK {
            let Some(found) = self.find(key).filter(|found| found.is_said()) else {
                continue;
            };
            let is_model = *key == "model.name" && found.value == theirs.model;
            let words = match has(key) {
                Some(theirs) if same(theirs, &found.value) || is_model => continue,
                Some(theirs) => differs(found, theirs),
                None if found.origin == Origin::Flag => format!(
                    "{} {} cannot be had: it is settled there, and not told",
                    found.source, found.value
                ),
                None => continue,
            };
            if *unavailable == Unavailable::Refused && found.origin == Origin::Flag {
                conflicts.refused.push(words);
            } else {
                conflicts.told.push(words);
            }
        }
        let secrets = SECRETS.iter().filter(|key| **key != "server.token");
        let secrets = secrets.filter_map(|key| self.find(key));
        for found in secrets.filter(|found| found.origin == Origin::Flag) {
            let words = format!("{} is not used: what they have there is", found.source);
            conflicts.told.push(words);
        }
        let (ours, theirs) = (self.server_names(), has(MCP_SERVERS));
        if !ours.is_empty()
            && let Some(theirs) = theirs.filter(|theirs| *theirs != ours)
        {
            let theirs = if theirs.is_empty() { "none" } else { theirs };
            let words = format!("{MCP_SERVERS} is {theirs} there, not {ours}");
            conflicts.told.push(words);
        }
        conflicts
    }

    /// The model they use, if it is known, a different one would be used here, and no model was requested.
    fn other_model(
        &self,
        model: &str,
        name: Option<&str>,
        url: Option<&str>,
    ) -> Option<OtherModel> {
        let is_said = |key| self.find(key).is_some_and(Found::is_said);
        let (name, url) = (name?, url?);
        // Theirs is reported without its password.
        let own_url = self.model_url.as_deref().map(journeyman_llm::shown);
        let is_same = name == self.model && url == own_url.as_deref().unwrap_or_default();
        if is_same || is_said("model.name") || is_said("model.url") {
            return None;
        }
        Some(if url.is_empty() {
            OtherModel {
                what: model.to_owned(),
                flag: format!("--model {name}"),
            }
        } else {
            OtherModel {
                what: format!("{model} at {url}"),
                flag: format!("--model-url '{url}'"),
            }
        })
    }

    /// The simulated model, if a task was worked on with it and no model was requested. A real one is not fetched in its
    /// place.
    pub(crate) fn other_than_simulated(&self, task: &TaskState) -> Option<OtherModel> {
        let is_said = |key| self.find(key).is_some_and(Found::is_said);
        let is_simulated = task
            .started
            .as_ref()
            .is_some_and(|started| started.server == journeyman_sim::SERVER);
        let is_other = is_simulated && !is_said("model.name") && !is_said("model.url");
        is_other.then(|| OtherModel {
            what: "the simulated model".to_owned(),
            flag: "--model-url sim:".to_owned(),
        })
    }

    /// The flags that must be repeated to reach a task: its data folder or server. Each is preceded by a
    /// space.
    pub(crate) fn place_flags(&self) -> String {
        self.flags_again(["data_dir", "server.url"])
    }

    /// The flags that must be repeated to continue with the same model, without passwords.
    pub(crate) fn model_flags(&self) -> String {
        self.flags_again(["model.url", "model.name"])
    }

    fn flags_again(&self, keys: [&str; 2]) -> String {
        let found = keys.into_iter().filter_map(|key| self.find(key));
        let given = found.filter(|found| found.origin == Origin::Flag);
        let flags = given.map(|Found { source, value, .. }| {
            let shown = if value.contains("://") {
                journeyman_llm::shown(value)
            } else {
                value.clone()
            };
            format!(" {source} '{shown}'")
        });
        flags.collect()
    }

    /// The requested tools; `None` if none were specified.
    pub(crate) fn tools_said(&self) -> Option<Vec<String>> {
        let found = self.find("agent.tools");
        let names = found.filter(|found| found.is_said())?.value.split(',');
        let names = names.map(str::trim).filter(|name| !name.is_empty());
        Some(names.map(str::to_owned).collect())
    }

    fn find(&self, key: &str) -> Option<&Found> {
        self.found.iter().find(|found| found.key == key)
    }

    fn server_names(&self) -> String {
        let names: Vec<String> = self.mcp_servers.keys().map(ToString::to_string).collect();
        names.join(", ")
    }
}

impl Found {
    fn is_said(&self) -> bool {
        self.origin != Origin::Default
    }
}

fn setting(key: &str, value: String) -> ServedSetting {
    ServedSetting {
        key: key.to_owned(),
        value,
        is_private: PRIVATE.contains(&key),
    }
}

/// Whether two values are equivalent.
fn same(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

fn differs(found: &Found, theirs: &str) -> String {
    let or_none = |value: &str| match value {
        "" => "not set".to_owned(),
        value => value.to_owned(),
    };
    format!(
        "{} is {} there, not {} (from {})",
        found.key,
        or_none(theirs),
        or_none(&found.value),
        found.source
    )
}
