//! RPM's own order of versions, on texts as metadata has them. Held against `rpm` itself by `tests/it/versions.rs`.

use std::cmp::Ordering;

use rpm_version::Evr;

/// Epoch, version, release, borrowed. An empty epoch is 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct EvrRef<'a> {
    pub epoch: &'a str,
    pub version: &'a str,
    pub release: &'a str,
}

impl EvrRef<'_> {
    /// As RPM compares two packages.
    pub fn compare(self, other: EvrRef<'_>) -> Ordering {
        Evr::new(self.epoch, self.version, self.release).cmp(&Evr::new(other.epoch, other.version, other.release))
    }

    /// As RPM compares for a dependency: a side without a release fits every release.
    pub fn compare_loosely(self, other: EvrRef<'_>) -> Ordering {
        let either = self.release.is_empty() || other.release.is_empty();
        let release = |own| if either { "" } else { own };
        let (a, b) = (release(self.release), release(other.release));
        Evr::new(self.epoch, self.version, a).cmp(&Evr::new(other.epoch, other.version, b))
    }
}
