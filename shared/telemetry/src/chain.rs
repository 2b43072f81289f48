//! An error with its causes, on one line.

use std::error::Error;
use std::fmt;

/// Shows an error and what caused it: `cannot open spool: permission denied`. Our errors keep the cause in their source and out of
/// their text, so logging one takes this.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

/// Causes that are followed. An error that is its own cause must not fill the disk.
const MAX_DEPTH: usize = 16;

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let causes = std::iter::successors(self.0.source(), |cause: &&(dyn Error + 'static)| (*cause).source());
        causes.take(MAX_DEPTH).try_for_each(|cause| write!(f, ": {cause}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open spool")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_follow_the_error_on_one_line() {
        let error = Outer(std::io::Error::other("disk is gone"));
        assert_eq!(Chain(&error).to_string(), "cannot open spool: disk is gone");
    }
}
