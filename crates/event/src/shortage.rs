//! Recognises temporary shortages of system resources, after which an operation may be retried.

use std::error::Error;
use std::io;

/// The Linux error codes (errno(3)) that report an exhausted resource which may become free again: processes,
/// memory, open files of the machine or the process, disk space, network buffers, quotas.
const SHORTAGES: [i32; 7] = [11, 12, 23, 24, 28, 105, 122];

/// Whether an error or one of its sources reports a shortage of file descriptors, memory, processes or disk
/// space, so that the same operation may succeed later.
pub fn is_shortage(error: &(dyn Error + 'static)) -> bool {
    let of_system = error.downcast_ref::<io::Error>();
    of_system.is_some_and(is_one) || error.source().is_some_and(is_shortage)
}

fn is_one(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    let is_kind = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::OutOfMemory
    );
    is_kind
        || code.is_some_and(|code| SHORTAGES.contains(&code))
        // What was wrapped has lost its number; what it wraps has not.
        || error.get_ref().is_some_and(|wrapped| is_shortage(wrapped))
}

/// Whether a text contains the system's message for such an error. For programs that report errors only as
/// text.
pub fn names_shortage(text: &str) -> bool {
    SHORTAGES.iter().any(|code| {
        let words = io::Error::from_raw_os_error(*code).to_string();
        let words = words.split(" (os error").next().unwrap_or_default();
        text.contains(words)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start it: {source}")]
    struct Wrapped {
        source: io::Error,
    }

    #[test]
    fn a_want_of_something_is_told_from_what_stays_wrong() {
        let of = io::Error::from_raw_os_error;
        for code in SHORTAGES {
            assert!(is_shortage(&of(code)), "{code}");
            assert!(is_shortage(&Wrapped { source: of(code) }), "{code}");
            // As tempfile does it.
            let kind = of(code).kind();
            let again = io::Error::new(kind, Wrapped { source: of(code) });
            assert!(is_shortage(&again), "{code}");
            assert!(names_shortage(&format!("bwrap: fork: {}", of(code))));
        }
        assert!(names_shortage(
            "bwrap: Creating new namespace failed: Resource temporarily unavailable"
        ));
        for code in [1, 2, 13, 30] {
            assert!(!is_shortage(&of(code)), "{code}");
            assert!(!names_shortage(&of(code).to_string()), "{code}");
        }
    }
}
