//! The one failure of test code: a sentence for a person.

use std::fmt;

/// What went wrong, as one sentence that a person reads in a report. Tests do not branch on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

/// What fallible functions of the kit return.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure that says `what`.
    pub fn new(what: impl Into<String>) -> Failure {
        Failure(what.into())
    }

    /// The same failure with what was being tried put in front.
    #[must_use]
    pub fn during(self, what: &str) -> Failure {
        Failure(format!("{what}: {}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(what: String) -> Failure {
        Failure(what)
    }
}

impl From<&str> for Failure {
    fn from(what: &str) -> Failure {
        Failure(what.to_owned())
    }
}
