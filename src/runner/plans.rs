//! Decoded plans that are shared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use crate::pipeline::plan::Plan;

/// Decoded plans by digest, shared by the runs that have the same one and dropped with the last of them.
#[derive(Default)]
pub struct PlanCache(Mutex<HashMap<String, Weak<Plan>>>);

impl PlanCache {
    /// The plan with this digest, made once.
    pub fn get<E>(&self, sha256: &str, make: impl FnOnce() -> Result<Plan, E>) -> Result<Arc<Plan>, E> {
        let mut map = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(plan) = map.get(sha256).and_then(Weak::upgrade) {
            return Ok(plan);
        }
        let plan = Arc::new(make()?);
        if map.len() >= 1_024 {
            map.retain(|_, p| p.strong_count() > 0);
        }
        map.insert(sha256.to_owned(), Arc::downgrade(&plan));
        Ok(plan)
    }
}
