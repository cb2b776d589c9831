//! Page tokens: where a listing goes on.
//! Promise: a token names a place, not a page: what came or went meanwhile moves nothing else.
//! Not here: the listings (`lists`).

use pb::api::v1::Refusal;

use crate::errors::field_invalid;

/// Where a conversation stands in a listing; lower is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Waiting ones come before those that do not wait.
    pub group: u64,
    /// The time that orders the group, turned so that lower is earlier.
    pub time: u64,
    /// The conversation's log index settles ties.
    pub index: u64,
}

impl Place {
    /// The token of the page after this place.
    pub fn token(self) -> String {
        format!("{:x}.{:x}.{:x}", self.group, self.time, self.index)
    }

    /// Reads a token; none for the first page.
    ///
    /// # Errors
    /// `FIELD_INVALID` for what no listing gave out.
    pub fn of(token: &str) -> Result<Option<Self>, Refusal> {
        if token.is_empty() {
            return Ok(None);
        }
        let bad = || field_invalid("page_token", "was not given out by a listing");
        let mut numbers = token
            .splitn(3, '.')
            .map(|part| u64::from_str_radix(part, 16));
        let mut next = || numbers.next().and_then(Result::ok).ok_or_else(bad);
        Ok(Some(Self {
            group: next()?,
            time: next()?,
            index: next()?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_place_and_anything_else_is_refused() {
        let place = Place {
            group: 1,
            time: u64::MAX,
            index: 17,
        };
        assert_eq!(Place::of(&place.token()), Ok(Some(place)));
        assert_eq!(Place::of(""), Ok(None));
        for token in ["1", "1.2", "x.y.z", "1.2.3.4"] {
            assert!(Place::of(token).is_err(), "{token}");
        }
    }
}
