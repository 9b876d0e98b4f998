//! The site as pipelines see it: what a file may name, and the pipelines of the site read and judged.

use std::collections::BTreeMap;

use crate::config::calendars;
use crate::config::pipelines::{self, PipelineFile};
use crate::config::{ConfigError, Dirs, Site};
use crate::pipeline::calendar::Calendar;
use crate::pipeline::catalog::{Catalog, Repo};
use crate::pipeline::{Diagnostic, File, load, misnamed, outline};
use crate::steps::catalog as steps;

/// Everything outside a file that it may name.
pub fn catalog(site: &Site, pipelines: Vec<String>) -> Catalog {
    let repos = site.repos.iter().map(|(name, r)| {
        let repo = Repo {
            upstream: r.upstream.clone(),
            tree: r.tree.clone(),
            writer: r.writer.clone(),
            replicas: r.replicas.iter().map(|p| p.at.clone()).collect(),
        };
        (name.clone(), repo)
    });
    Catalog {
        kinds: steps::catalog().to_vec(),
        later_kinds: steps::later_kinds().to_vec(),
        secrets: site.secrets.keys().cloned().collect(),
        locks: site.locks.clone(),
        sets: site.set_repos(),
        repos: repos.collect(),
        far_ends: [("cobbler", site.cobblers.iter().map(|(name, c)| (name.clone(), c.far_end())).collect())].into(),
        notifiers: site.notifiers.clone(),
        pipelines,
        roles: crate::config::ROLES.iter().map(|r| (*r).to_owned()).chain(site.roles.iter().flat_map(|r| r.keys().cloned())).collect(),
        time_zone: site.time_zone.clone(),
        ..Catalog::default()
    }
}

/// The catalogue of the site on disk.
pub fn of_site(dirs: &Dirs, site: &Site, uid: u32) -> Result<Catalog, ConfigError> {
    let catalog = catalog(site, pipelines::names(dirs, uid)?);
    Ok(Catalog { calendars: calendars_of(dirs, uid)?, ..catalog })
}

/// The site's calendars, each with why it cannot be read.
pub fn calendars_of(dirs: &Dirs, uid: u32) -> Result<BTreeMap<String, Result<Calendar, String>>, ConfigError> {
    let read = |name: String| {
        let calendar = calendars::read(dirs, &name, uid).map_err(|e| e.in_short());
        (name, calendar)
    };
    Ok(calendars::names(dirs, uid)?.into_iter().map(read).collect())
}

/// As [`of_site`], to be judged as of now: what only time decides is an error too.
pub fn of_site_now(dirs: &Dirs, site: &Site, uid: u32, now: jiff::Timestamp) -> Result<Catalog, ConfigError> {
    Ok(Catalog { now: Some(now), ..of_site(dirs, site, uid)? })
}

/// All that a file may name, judged as of now: what a person who writes or tries one is told about.
pub fn whole_now(dirs: &Dirs, site: &Site, uid: u32, now: jiff::Timestamp) -> Result<Catalog, ConfigError> {
    Ok(with_stages(of_site_now(dirs, site, uid, now)?, dirs, uid))
}

/// Adds the stages of every pipeline that can be read, so that `stage:` of upstream triggers is checked too.
pub fn with_stages(mut catalog: Catalog, dirs: &Dirs, uid: u32) -> Catalog {
    for name in catalog.pipelines.clone() {
        if let Some(found) = pipelines::read(dirs, &name, uid).ok().and_then(|f| outline(&f.text)) {
            catalog.outlines.insert(name, found);
        }
    }
    for name in catalog.pipelines.clone() {
        let file = judge(dirs, &name, uid, &catalog).ok().and_then(|j| j.file);
        if let Some(file) = file {
            catalog.stages.insert(name, file.stages.iter().map(|s| s.name.value.clone()).collect());
        }
    }
    catalog
}

/// Adds the outlines of the pipelines that a text builds, and of those that they build in turn.
pub fn with_built(mut catalog: Catalog, dirs: &Dirs, uid: u32, text: &str) -> Catalog {
    let mut todo: Vec<String> = outline(text).into_iter().flat_map(|o| o.builds).map(|e| e.pipeline).collect();
    while let Some(name) = todo.pop() {
        if catalog.outlines.contains_key(&name) {
            continue;
        }
        let Some(found) = pipelines::read(dirs, &name, uid).ok().and_then(|f| outline(&f.text)) else { continue };
        todo.extend(found.builds.iter().map(|e| e.pipeline.clone()));
        catalog.outlines.insert(name, found);
    }
    catalog
}

/// A pipeline file with what was found in it. `file` is there only when it has no error.
pub struct Judged {
    pub source: PipelineFile,
    pub file: Option<File>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads and judges one pipeline of the site.
pub fn judge(dirs: &Dirs, name: &str, uid: u32, catalog: &Catalog) -> Result<Judged, ConfigError> {
    Ok(judge_read(dirs, pipelines::read(dirs, name, uid)?, uid, catalog))
}

/// Judges a pipeline that was read.
pub fn judge_read(dirs: &Dirs, source: PipelineFile, uid: u32, catalog: &Catalog) -> Judged {
    let wider = may_build(&source.text).then(|| with_built(catalog.clone(), dirs, uid, &source.text));
    let catalog = wider.as_ref().unwrap_or(catalog);
    let path = source.path.display().to_string();
    let (mut file, mut diagnostics) = load(&source.text, &path, catalog);
    if let Some(slip) = file.as_ref().and_then(|f| misnamed(f, &source.name, &path)) {
        diagnostics.push(slip);
        diagnostics.sort_by_key(|d| (d.line, d.column));
        file = None;
    }
    Judged { source, file, diagnostics }
}

/// Only a file that builds others must know them; a key may stand in quotes.
pub fn may_build(text: &str) -> bool {
    text.contains("build")
}

impl Judged {
    /// The first error in one sentence, with its place.
    pub fn first_error(&self) -> Option<String> {
        let e = self.diagnostics.iter().find(|d| d.is_error())?;
        Some(format!("{}:{}:{}: {}", e.file, e.line, e.column, e.message))
    }

    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|d| d.is_error()).count()
    }
}
