//! Calls that are meant for certain versions of a task.

use journeyman_event::{TaskId, TaskState};

use crate::Error;

/// The versions of a task at which a call may change it. A task's version is its revision: how many events it has.
///
/// The version is compared in the append itself, by the revision that it expects: of two calls that are meant for the
/// same version, one changes the task and the other gets [`Error::OtherVersion`], however close together they come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnlyAt {
    /// Whatever version it has.
    #[default]
    Any,
    /// One of these. Where there are none of them, no version is right.
    OneOf(Vec<u64>),
}

impl OnlyAt {
    /// This version, where one is named.
    pub fn version(version: Option<u64>) -> Self {
        version.map_or(Self::Any, |version| Self::OneOf(vec![version]))
    }

    /// Whether the version makes a difference.
    pub(crate) const fn is_conditional(&self) -> bool {
        matches!(self, Self::OneOf(_))
    }

    /// # Errors
    /// [`Error::OtherVersion`] where the state has another version than the call is meant for.
    pub(crate) fn check(&self, task: &TaskId, state: &TaskState) -> Result<(), Error> {
        let version = state.revision.0;
        match self {
            Self::OneOf(versions) if !versions.contains(&version) => Err(Error::OtherVersion {
                task: task.clone(),
                version,
            }),
            Self::Any | Self::OneOf(_) => Ok(()),
        }
    }
}
