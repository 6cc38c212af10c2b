//! What a standby says of how far it is behind.

use std::time::Instant;

use anyhow::Result;
use serde_json::Value;

use super::stand::Stand;

/// What the standby said last of a point that it holds; while it is brought to the next, that is kept and grows older.
#[derive(Default)]
pub struct Status {
    point: String,
    /// How many points it was seen to hold.
    pub points: usize,
    /// How many seconds it was behind, and when.
    held: Option<(f64, Instant)>,
}

impl Status {
    /// Asks it.
    pub fn ask(&mut self, stand: &Stand, name: &str) -> Result<()> {
        let said = stand.program.run(&["standby", "status", name, "--to", "b", "-o", "json"])?;
        self.hear(&serde_json::from_str(&said)?);
        Ok(())
    }

    fn hear(&mut self, standing: &Value) {
        let (holds, lag) = (&standing[0]["holds"]["point"], &standing[0]["lagSeconds"]);
        let (Some(point), Some(lag)) = (holds.as_str(), lag.as_f64()) else { return };
        if point != self.point {
            point.clone_into(&mut self.point);
            self.points += 1;
        }
        self.held = Some((lag, Instant::now()));
    }

    /// Seconds that it is behind by now.
    pub fn lag(&self) -> Option<f64> {
        self.held.map(|(lag, at)| lag + at.elapsed().as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_on_its_way_leaves_the_one_before_to_grow_older() {
        let mut status = Status::default();
        status.hear(&serde_json::json!([]));
        assert_eq!(status.lag(), None);
        status.hear(&serde_json::json!([{"holds": {"point": "one"}, "lagSeconds": 7}]));
        status.hear(&serde_json::json!([{"holds": null, "lagSeconds": null}]));
        assert!(status.points == 1 && status.lag().is_some_and(|lag| lag >= 7.0));
        status.hear(&serde_json::json!([{"holds": {"point": "two"}, "lagSeconds": 3}]));
        assert!(status.points == 2 && status.lag().is_some_and(|lag| (3.0..7.0).contains(&lag)));
    }
}
