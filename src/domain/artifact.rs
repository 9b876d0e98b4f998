//! How patterns name files that a run keeps, for the step that leaves them and for the run that wants them alike.

use glob::MatchOptions;

/// `*` does not cross a `/`, `**` does, and hidden files need their dot spelt out.
pub const MATCH: MatchOptions = MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Whether a path leads out of the workspace, as far as its text tells.
pub fn is_outside(path: &str) -> bool {
    path.starts_with('/') || path.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leaves_the_workspace_is_known() {
        for (path, outside) in
            [("out/*.iso", false), ("./a", false), ("/etc/passwd", true), ("a/../../b", true), ("..", true), ("a..b", false)]
        {
            assert_eq!(is_outside(path), outside, "{path}");
        }
    }
}
