//! State that has versions: only a state of a higher version replaces the one that is held.

use thiserror::Error;

/// A state and its version, or nothing yet.
///
/// A state is only ever replaced by one of a higher version; versions may be left out on the way. Version 0 is the initial one: it is what an
/// empty value answers, and an empty value takes a state of any version, 0 included. A version is 64 bits wide; after
/// `u64::MAX` nothing replaces the state any more.
///
/// The value has no lock of its own. Writers that share one behind a lock see the rule as a compare-and-set: of two that
/// bring the same version, the first one wins and the second one gets [`StaleVersion`].
///
/// ```
/// # use journeyman_event::Versioned;
/// let mut state = Versioned::empty();
/// assert_eq!((state.version(), state.get()), (0, None));
/// state.replace(1, "planned")?;
/// state.replace(3, "tested")?;
/// assert!(state.replace(2, "coded").is_err());
/// assert_eq!((state.version(), state.get()), (3, Some(&"tested")));
/// # Ok::<(), journeyman_event::StaleVersion>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T>(Option<(u64, T)>);

/// A state that is not newer than the one that is held. The state that is held stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "version {given} does not replace version {current}, which is held: only a higher version does"
)]
pub struct StaleVersion {
    /// The version that is held.
    pub current: u64,
    /// The version that was to replace it.
    pub given: u64,
}

impl<T> Versioned<T> {
    /// A value that holds no state yet.
    pub const fn empty() -> Self {
        Self(None)
    }

    /// A value that holds this state.
    pub const fn new(version: u64, state: T) -> Self {
        Self(Some((version, state)))
    }

    /// The version of the state that is held; 0 where there is none yet.
    pub fn version(&self) -> u64 {
        self.0.as_ref().map_or(0, |(version, _)| *version)
    }

    /// The state that is held, if there is one.
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref().map(|(_, state)| state)
    }

    /// Replaces the state that is held by one of a higher version, and gives back the one that was held.
    ///
    /// # Errors
    /// [`StaleVersion`] where a state of the same or a higher version is held; then nothing changes.
    pub fn replace(&mut self, version: u64, state: T) -> Result<Option<T>, StaleVersion> {
        match &self.0 {
            Some((current, _)) if version <= *current => Err(StaleVersion {
                current: *current,
                given: version,
            }),
            _ => Ok(self.0.replace((version, state)).map(|(_, held)| held)),
        }
    }
}

impl<T> Default for Versioned<T> {
    fn default() -> Self {
        Self::empty()
    }
}
