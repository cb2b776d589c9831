//! Figures: what a replay counts and measures, and how it prints them.
//! Promise: times are kept to three significant digits from 1 microsecond to 10 minutes; the JSON
//! keys do not change.
//! Not here: what is measured when (`play`), differences (`verify`).

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};

/// No call waits longer: patience ends before.
const LONGEST_US: u64 = 600_000_000;

/// Times of one kind.
#[derive(Clone, Debug)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        let kept = Histogram::new_with_bounds(1, LONGEST_US, 3);
        Self(kept.expect("the bounds are constants that fit each other"))
    }
}

/// Percentiles of one kind of times, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half of them are at most this.
    pub p50: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// None is above this.
    pub max: f64,
}

impl Times {
    /// Adds one.
    pub fn add(&mut self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(us.max(1));
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The percentiles; zeros without any.
    pub fn spread(&self) -> Spread {
        let ms = |us: u64| (us as f64) / 1_000.0;
        Spread {
            p50: ms(self.0.value_at_quantile(0.50)),
            p99: ms(self.0.value_at_quantile(0.99)),
            max: ms(self.0.max()),
        }
    }
}

/// What a replay measures while it plays.
#[derive(Debug, Default)]
pub struct Figures {
    /// Messages that were acknowledged.
    pub messages: u64,
    /// Open to accept.
    pub wait: Times,
    /// Call to acknowledgement, of every message.
    pub ack: Times,
    /// Call to receipt at the other side's client. The opening message is received with the accept
    /// and counts as a wait.
    pub delivery: Times,
}

/// The end of a replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Dialogues that were played.
    pub conversations: u64,
    /// Messages that were acknowledged.
    pub messages: u64,
    /// Differences between what was said and what was read back.
    pub mismatches: u64,
    /// Open to accept.
    pub wait_ms: Spread,
    /// Call to acknowledgement.
    pub ack_ms: Spread,
    /// Call to receipt at the other client.
    pub delivery_ms: Spread,
    /// Acknowledged messages in a second of playing.
    pub messages_per_s: f64,
}

impl Summary {
    /// Of a replay that played `conversations` dialogues in `took`.
    pub fn new(conversations: u64, figures: &Figures, took: Duration, mismatches: u64) -> Self {
        let seconds = took.as_secs_f64().max(1e-6);
        Self {
            conversations,
            messages: figures.messages,
            mismatches,
            wait_ms: figures.wait.spread(),
            ack_ms: figures.ack.spread(),
            delivery_ms: figures.delivery.spread(),
            messages_per_s: ((figures.messages as f64) / seconds * 10.0).round() / 10.0,
        }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        json!(self)
    }

    /// As lines for people.
    pub fn lines(&self) -> Vec<String> {
        let spread = |name: &str, it: &Spread| {
            format!(
                "{name:<14} p50 {:>9.2} ms   p99 {:>9.2} ms   max {:>9.2} ms",
                it.p50, it.p99, it.max
            )
        };
        let verdict = match self.mismatches {
            0 => "every transcript read back exactly as it was said".to_owned(),
            1 => "1 mismatch".to_owned(),
            many => format!("{many} mismatches"),
        };
        vec![
            format!("conversations  {}", self.conversations),
            format!(
                "messages       {} ({}/s)",
                self.messages, self.messages_per_s
            ),
            spread("wait", &self.wait_ms),
            spread("acknowledged", &self.ack_ms),
            spread("delivered", &self.delivery_ms),
            format!("result         {verdict}"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_keys_are_those_that_scripts_rely_on() {
        let mut figures = Figures {
            messages: 30,
            ..Default::default()
        };
        figures.ack.add(Duration::from_micros(1_500));
        let summary = Summary::new(3, &figures, Duration::from_secs(2), 0).json();
        let mut found: Vec<&String> = summary.as_object().unwrap().keys().collect();
        found.sort_unstable();
        let expected =
            "ack_ms conversations delivery_ms messages messages_per_s mismatches wait_ms";
        assert_eq!(found, expected.split(' ').collect::<Vec<_>>());
        assert_eq!(summary["messages_per_s"], json!(15.0));
        assert_eq!(
            summary["wait_ms"],
            json!({"p50": 0.0, "p99": 0.0, "max": 0.0})
        );
        let p50 = summary["ack_ms"]["p50"].as_f64().unwrap();
        assert!((p50 - 1.5).abs() < 0.01, "{p50}");
    }
}
