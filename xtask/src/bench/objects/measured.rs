//! Costs by what was done.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use crate::bench::measure::Cost;

/// All measurements of a benchmark.
#[derive(Debug, Default)]
pub struct Measured {
    costs: BTreeMap<String, Vec<Cost>>,
}

impl Measured {
    /// Notes one and says so.
    pub fn note(&mut self, what: &str, cost: Cost) {
        eprintln!(
            "    {what:<28} {:>6.2} s  {:>6.1} s cpu  {:>5.0} MiB",
            cost.seconds, cost.cpu_seconds, cost.peak_rss_mib
        );
        self.costs.entry(what.to_owned()).or_default().push(cost);
    }

    /// One figure of all runs of one thing.
    pub fn of(&self, what: &str, figure: impl Fn(&Cost) -> f64) -> Vec<f64> {
        self.costs.get(what).into_iter().flatten().map(figure).collect()
    }

    /// All of it.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::to_value(&self.costs)?)
    }
}
