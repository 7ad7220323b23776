//! Decides which calls fail, and how.

use std::ffi::c_int;

use rusqlite::ffi;

/// A planned fault ([`crate::Disk::plan`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The first call that can fail, counted from now: 1 is the next one.
    pub at: u64,
    /// How the call fails.
    pub kind: FaultKind,
    /// How long the fault lasts.
    pub lasts: FaultDuration,
}

/// How a call fails. Taking and releasing locks does not count as a call here, because no disk is involved;
/// these fail only while the power is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The disk is full. Affects only calls that need space: writes (`SQLITE_FULL`), creating files
    /// (`SQLITE_CANTOPEN`) and growing shared memory (`SQLITE_IOERR_SHMSIZE`), which on a real disk is a file
    /// too.
    NoSpace,
    /// An I/O error for any call (`SQLITE_IOERR_*`; `SQLITE_CANTOPEN` for opening).
    Io,
    /// The power fails: this call and all later ones fail until [`crate::Disk::restart`], regardless of
    /// [`Fault::lasts`].
    PowerLoss,
}

/// How long a fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultDuration {
    /// For one call.
    Once,
    /// For this many calls of those it affects.
    Calls(u64),
    /// For every call until [`crate::Disk::heal`].
    UntilHealed,
}

/// A call that can fail. Opening a file that does not exist, and mapping memory beyond the mapped regions, need space on
/// the disk.
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
    /// The error code of an I/O error in this call.
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

    /// The error code of a full disk; `None` if the call needs no space.
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
    /// The error code of `SQLite`.
    pub(crate) code: c_int,
    /// The fault that caused it; `None` if the power was already off, so that the call had no effect at all.
    pub(crate) hit: Option<FaultKind>,
}

/// Counts calls and decides which ones fail.
pub(crate) struct Faults {
    planned: Vec<Planned>,
    power: bool,
    /// The number of calls so far, not counting those made while the power was off.
    pub(crate) calls: u64,
    /// The number of calls that failed.
    pub(crate) failed: u64,
}

struct Planned {
    /// The number of the first call that it can affect, counted like [`Faults::calls`].
    at: u64,
    kind: FaultKind,
    /// The number of calls it still affects; `None` for no limit.
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

    /// Counts a call, and fails it if the power is off or a planned fault affects it.
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
