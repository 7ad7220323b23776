//! Is this report about the code we have? Version, causality and hash decide; the wall clock never.

use serde::Serialize;

use crate::clock::VectorClock;
use crate::content::ContentHash;

/// What is known of the code that a report is about, or of the current code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeIdentity {
    /// The module's code version.
    pub version: u64,
    /// For a report: the clock of the report. For the current code: that of the event that made it.
    pub clock: VectorClock,
    /// The hash of the code, where it is known.
    pub hash: Option<ContentHash>,
}

/// Why a report is not about the current code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Staleness {
    /// It is about an older version.
    OlderVersion,
    /// It happened before the correction that made the current code.
    BeforeCorrection,
    /// It is about other bytes.
    OtherBytes,
}

/// The answer of [`is_report_valid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// The report is about the current code.
    Valid,
    /// It seems to be, by version and clock alone: a hash is missing on a side.
    ValidWithoutHash,
    /// It is not, for this reason.
    Stale(Staleness),
    /// The report's version is above the current one, which cannot be: a defect to be reported.
    FromTheFuture,
}

impl Validity {
    /// Whether the report may be acted on.
    pub fn is_valid(self) -> bool {
        matches!(self, Self::Valid | Self::ValidWithoutHash)
    }
}

/// Decides whether `report` is about the `current` code. The checks, in order: a version above the
/// current one breaks an invariant; one below it is stale; a report that happened before the event
/// that made the current code is stale; then the hash decides, and where it is missing on a side
/// the answer is marked as weaker.
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
