//! Remembered requests: a repeat gets the first answer.
//! Promise: nothing younger than ten minutes is forgotten; at most 64 rows an object.
//! Not here: which object remembers which request (`decide`).

use xxhash_rust::xxh3::Xxh3;

use super::reply::{ControlDone, ControlRefusal};
use crate::ids::{CellTime, RequestId};

/// How long a request is remembered, in milliseconds of control time.
pub const REMEMBERED_MS: u64 = 600_000;
/// Rows of one object; a person applies a plan a few times in ten minutes.
pub const ROWS_MAX: usize = 64;

/// One remembered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// Who asked: another principal's equal id is another request.
    pub principal: String,
    /// The id.
    pub request_id: RequestId,
    /// Hash of the payload.
    pub fingerprint: u64,
    /// When it was answered.
    pub at: CellTime,
    /// The answer.
    pub done: ControlDone,
}

/// The rows of one object, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requests {
    /// The rows.
    pub rows: Vec<RequestRow>,
}

impl Requests {
    /// The answer of an earlier request with this id, or `None` for a new one.
    ///
    /// # Errors
    /// `RequestIdReused` when the payload differs, `TooManyRequests` when no row is free.
    pub fn find(
        &self,
        now: CellTime,
        (principal, request_id): (&str, &RequestId),
        fingerprint: u64,
    ) -> Result<Option<ControlDone>, ControlRefusal> {
        let living = || {
            self.rows
                .iter()
                .filter(|row| now.since_ms(row.at) < REMEMBERED_MS)
        };
        if let Some(row) =
            living().find(|row| row.request_id == *request_id && row.principal == principal)
        {
            if row.fingerprint == fingerprint {
                return Ok(Some(row.done.clone()));
            }
            return Err(ControlRefusal::RequestIdReused {
                request_id: request_id.clone(),
            });
        }
        match living().next() {
            Some(oldest) if living().count() >= ROWS_MAX => Err(ControlRefusal::TooManyRequests {
                retry_after_ms: REMEMBERED_MS.saturating_sub(now.since_ms(oldest.at)),
            }),
            _ => Ok(None),
        }
    }

    /// Adds a row and drops those that are older than ten minutes.
    pub fn remember(&mut self, row: RequestRow) {
        let now = row.at;
        self.rows.retain(|old| now.since_ms(old.at) < REMEMBERED_MS);
        self.rows.push(row);
    }
}

/// A hash over fields, each with its length, so that ("ab", "c") and ("a", "bc") differ.
#[derive(Default)]
pub struct Fingerprint(Xxh3);

impl Fingerprint {
    /// Adds a text.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, number: u64) -> Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    /// The hash.
    pub fn finish(self) -> u64 {
        self.0.digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: usize, at: u64) -> RequestRow {
        RequestRow {
            principal: "op".to_owned(),
            request_id: id(n),
            fingerprint: 7,
            at: CellTime(at),
            done: ControlDone::Nothing,
        }
    }

    fn id(n: usize) -> RequestId {
        RequestId::new(&format!("r{n}")).expect("well formed")
    }

    #[test]
    fn a_full_table_refuses_until_its_oldest_row_is_ten_minutes_old() {
        let mut requests = Requests::default();
        for n in 0..ROWS_MAX {
            requests.remember(row(n, 1_000 + n as u64));
        }
        let refused = requests.find(CellTime(2_000), ("op", &id(99)), 7);
        assert_eq!(
            refused,
            Err(ControlRefusal::TooManyRequests {
                retry_after_ms: 599_000
            })
        );
        assert_eq!(
            requests.find(CellTime(601_000), ("op", &id(99)), 7),
            Ok(None)
        );
    }

    #[test]
    fn the_principal_is_part_of_the_key() {
        let mut requests = Requests::default();
        requests.remember(row(1, 0));
        assert_eq!(
            requests.find(CellTime(1), ("op", &id(1)), 7),
            Ok(Some(ControlDone::Nothing))
        );
        assert_eq!(requests.find(CellTime(1), ("other", &id(1)), 9), Ok(None));
        let reused = requests.find(CellTime(1), ("op", &id(1)), 9);
        assert_eq!(
            reused,
            Err(ControlRefusal::RequestIdReused { request_id: id(1) })
        );
    }
}
