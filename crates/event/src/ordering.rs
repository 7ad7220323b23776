//! Decides whether a report (such as a test run) is about the current code. Versions, vector clocks and hashes
//! decide; the wall clock is never used.

use serde::Serialize;

use crate::clock::VectorClock;
use crate::content::ContentHash;

/// Identifies code: either the code that a report is about or the current code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeIdentity {
    /// The version of the module's code.
    pub version: u64,
    /// For a report, the report's own clock. For the current code, the clock of the event that created it.
    pub clock: VectorClock,
    /// The hash of the code, if known.
    pub hash: Option<ContentHash>,
}

/// Why a report is not about the current code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Staleness {
    /// The report is about an older version.
    OlderVersion,
    /// The report happened before the correction that made the current code.
    BeforeCorrection,
    /// The version is the same, but the hash of the code differs.
    OtherBytes,
}

/// The result of [`is_report_valid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// The report is about the current code.
    Valid,
    /// By version and clock the report is about the current code, but at least one of the hashes is missing.
    ValidWithoutHash,
    /// The report is not about the current code.
    Stale(Staleness),
    /// The report's version is higher than the current one. This is an invariant violation and should be
    /// reported as a defect.
    FromTheFuture,
}

impl Validity {
    /// Whether the report may be acted on.
    pub fn is_valid(self) -> bool {
        matches!(self, Self::Valid | Self::ValidWithoutHash)
    }
}

/// Decides whether `report` is about the `current` code. The checks are made in this order: a version above the
/// current one is an invariant violation; a lower version is stale; a report that happened before the event
/// that made the current code is stale; then the hashes are compared. If a hash is missing, the result is the
/// weaker [`Validity::ValidWithoutHash`].
pub fn is_report_valid(report: &CodeIdentity, current: &CodeIdentity) -> Validity {
    if report.version > current.version {
        return Validity::FromTheFuture;
    }
    if report.version < current.version {
        return Validity::Stale(Staleness::OlderVersion);
    }
    if report.clock.happens_before(&current.clock) {
        return Validity::Stale(Staleness::BeforeCorrection);
    }
    match (report.hash, current.hash) {
        (Some(report), Some(current)) if report == current => Validity::Valid,
        (Some(_), Some(_)) => Validity::Stale(Staleness::OtherBytes),
        _ => Validity::ValidWithoutHash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ProcessId;

    fn identity(version: u64, entries: &[(&str, u64)], code: Option<&str>) -> CodeIdentity {
        CodeIdentity {
            version,
            clock: entries
                .iter()
                .map(|&(p, n)| (ProcessId::from_stored(p), n))
                .collect(),
            hash: code.map(|c| ContentHash::of(c.as_bytes())),
        }
    }

    #[test]
    fn version_then_causality_then_hash_decide() {
        let current = identity(2, &[("coder", 2)], Some("v2"));
        let verdict = |report| is_report_valid(&report, &current);
        assert_eq!(
            verdict(identity(2, &[("coder", 2), ("tester", 1)], Some("v2"))),
            Validity::Valid
        );
        assert_eq!(
            verdict(identity(1, &[("coder", 9)], Some("v2"))),
            Validity::Stale(Staleness::OlderVersion)
        );
        assert_eq!(
            verdict(identity(2, &[("coder", 1)], Some("v2"))),
            Validity::Stale(Staleness::BeforeCorrection)
        );
        assert_eq!(
            verdict(identity(2, &[("coder", 3)], Some("other"))),
            Validity::Stale(Staleness::OtherBytes)
        );
        assert_eq!(
            verdict(identity(3, &[("coder", 3)], Some("v3"))),
            Validity::FromTheFuture
        );
    }

    #[test]
    fn concurrent_clocks_leave_the_hash_to_decide() {
        let current = identity(2, &[("coder", 2)], Some("v2"));
        assert_eq!(
            is_report_valid(&identity(2, &[("tester", 5)], Some("v2")), &current),
            Validity::Valid
        );
        assert_eq!(
            is_report_valid(&identity(2, &[("tester", 5)], Some("x")), &current),
            Validity::Stale(Staleness::OtherBytes)
        );
    }

    #[test]
    fn a_missing_hash_is_marked_as_weaker() {
        let current = identity(2, &[("coder", 2)], Some("v2"));
        let report = identity(2, &[("coder", 2)], None);
        assert_eq!(
            is_report_valid(&report, &current),
            Validity::ValidWithoutHash
        );
        assert!(is_report_valid(&report, &current).is_valid());
    }
}
