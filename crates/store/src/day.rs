//! UTC days, as files are named by them.
//! Promise: a day's text names that day alone; what is no such text is no day.
//! Not here: which files have a day in their name (`archive`, `wal::journal`).

const DAY_MS: u64 = 86_400_000;

/// The UTC day of a wall time; `None` from the year 2149 on.
pub fn day_of(wall_ms: u64) -> Option<u16> {
    u16::try_from(wall_ms / DAY_MS).ok()
}

/// The day as `YYYY-MM-DD`.
pub fn text_of(day: u16) -> String {
    let (year, month, day) = date_of(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The day that a text names.
pub fn named(text: &str) -> Option<u16> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    day_of_date(year, month, day).filter(|day| text_of(*day) == text)
}

/// Year, month and day of the month, by the calendar's cycle of 400 years that begins in March.
fn date_of(day: u16) -> (u32, u32, u32) {
    let days = u32::from(day) + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (400 * era + year_of_era + u32::from(month <= 2), month, day)
}

/// The inverse of [`date_of`]; a date that is none gives some day, whose text then differs.
fn day_of_date(year: u32, month: u32, day: u32) -> Option<u16> {
    let year = year.checked_sub(u32::from(month <= 2))?;
    let (era, year_of_era) = (year / 400, year % 400);
    let from_march = (month.checked_add(9)?) % 12;
    let of_year = ((153 * from_march + 2) / 5).checked_add(day.checked_sub(1)?)?;
    let of_era = (365 * year_of_era + year_of_era / 4 - year_of_era / 100).checked_add(of_year)?;
    let days = era.checked_mul(146_097)?.checked_add(of_era)?;
    u16::try_from(days.checked_sub(719_468)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_is_found_by_its_text_and_what_is_none_is_not() {
        for (day, text) in [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (20_784, "2026-11-27"),
        ] {
            assert_eq!(text_of(day), text);
        }
        for day in 0..=u16::MAX {
            assert_eq!(named(&text_of(day)), Some(day));
        }
        for none in ["", "2026-02-30", "2026-1-01", "1969-12-31", "2026-01-01-1"] {
            assert_eq!(named(none), None, "{none}");
        }
    }
}
