//! Which calls fail, and how.

use std::ffi::c_int;

use rusqlite::ffi;

/// A fault to come ([`crate::Disk::plan`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// From which call on, counted from now: 1 is the next one.
    pub at: u64,
    /// What happens.
    pub kind: FaultKind,
    /// For how long.
    pub lasts: FaultDuration,
}

/// What happens to a call. Taking and releasing locks are no calls in this sense (no disk has a part
/// in them), and they fail only while the power is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The disk is full. Only calls that need room are hit: a write (`SQLITE_FULL`), the creation of
    /// a file (`SQLITE_CANTOPEN`) and more shared memory (`SQLITE_IOERR_SHMSIZE`), which on a real
    /// disk is a file too.
    NoSpace,
    /// An I/O error, whatever the call is (`SQLITE_IOERR_*`; `SQLITE_CANTOPEN` for opening).
    Io,
    /// The power goes: this call and all later ones fail until [`crate::Disk::restart`], whatever
    /// [`Fault::lasts`] says.
    PowerLoss,
}

/// For how long a fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultDuration {
    /// For one call.
    Once,
    /// For so many calls, of those that it can hit.
    Calls(u64),
    /// Until [`crate::Disk::heal`].
    UntilHealed,
}

/// A call that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Open { creates: bool },
    Delete,
    Access,
    Read,
    Write,
    Truncate,
    Sync,
    Size,
    MapShared { grows: bool },
}

impl Call {
    pub(crate) fn io_error(self) -> c_int {
        match self {
            Self::Open { .. } => ffi::SQLITE_CANTOPEN,
            Self::Delete => ffi::SQLITE_IOERR_DELETE,
            Self::Access => ffi::SQLITE_IOERR_ACCESS,
            Self::Read => ffi::SQLITE_IOERR_READ,
            Self::Write => ffi::SQLITE_IOERR_WRITE,
            Self::Truncate => ffi::SQLITE_IOERR_TRUNCATE,
            Self::Sync => ffi::SQLITE_IOERR_FSYNC,
            Self::Size => ffi::SQLITE_IOERR_FSTAT,
            Self::MapShared { .. } => ffi::SQLITE_IOERR_SHMMAP,
        }
    }

    /// `None`: it needs no room.
    fn no_space(self) -> Option<c_int> {
        match self {
            Self::Write => Some(ffi::SQLITE_FULL),
            Self::Open { creates: true } => Some(ffi::SQLITE_CANTOPEN),
            Self::MapShared { grows: true } => Some(ffi::SQLITE_IOERR_SHMSIZE),
            _ => None,
        }
    }
}

/// A call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: c_int,
    /// What hit it; `None` if the power was off before, so that nothing at all happened.
    pub(crate) hit: Option<FaultKind>,
}

/// Counts calls and says which ones fail.
pub(crate) struct Faults {
    planned: Vec<Planned>,
    power: bool,
    pub(crate) calls: u64,
    pub(crate) failed: u64,
}

struct Planned {
    at: u64,
    kind: FaultKind,
    /// How many calls it still hits; `None` is all.
    left: Option<u64>,
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self {
            planned: Vec::new(),
            power: true,
            calls: 0,
            failed: 0,
        }
    }

    pub(crate) fn plan(&mut self, fault: Fault) {
        self.planned.push(Planned {
            at: self.calls.saturating_add(fault.at),
            kind: fault.kind,
            left: match fault.lasts {
                FaultDuration::Once => Some(1),
                FaultDuration::Calls(calls) => Some(calls),
                FaultDuration::UntilHealed => None,
            },
        });
    }

    pub(crate) fn heal(&mut self) {
        self.planned.clear();
    }

    pub(crate) fn has_power(&self) -> bool {
        self.power
    }

    pub(crate) fn set_power(&mut self, power: bool) {
        self.power = power;
    }

    pub(crate) fn call(&mut self, call: Call) -> Result<(), Failure> {
        if !self.power {
            self.failed += 1;
            return Err(Failure {
                code: call.io_error(),
                hit: None,
            });
        }
        self.calls += 1;
        self.planned.retain(|planned| planned.left != Some(0));
        let calls = self.calls;
        let hit = self.planned.iter_mut().find_map(|planned| {
            let code = match planned.kind {
                FaultKind::NoSpace => call.no_space()?,
                FaultKind::Io | FaultKind::PowerLoss => call.io_error(),
            };
            (calls >= planned.at).then_some((planned, code))
        });
        let Some((planned, code)) = hit else {
            return Ok(());
        };
        let kind = planned.kind;
        planned.left = match kind {
            FaultKind::PowerLoss => Some(0),
            FaultKind::NoSpace | FaultKind::Io => planned.left.map(|left| left.saturating_sub(1)),
        };
        self.power = kind != FaultKind::PowerLoss;
        self.failed += 1;
        Err(Failure {
            code,
            hit: Some(kind),
        })
    }
}
