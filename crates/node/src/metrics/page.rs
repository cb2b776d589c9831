//! A page of series in Prometheus' text format, version 0.0.4.
//! Promise: each series comes once, with help and kind before its samples; labels and help are escaped, so
//! that no name of a floor plan can end a line.
//! Not here: which series there are (`mod`).

use std::fmt::{Display, Write as _};

use runtime::measure::{Counted, Kind, Series};

/// Microseconds of a second.
const SECOND_US: f64 = 1_000_000.0;

/// A page that is being written.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// Begins the next series.
    pub(super) fn series(&mut self, series: &Series) -> Samples<'_> {
        let Series {
            name, kind, help, ..
        } = series;
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        line(&mut self.text, format_args!("# HELP {name} {help}"));
        line(&mut self.text, format_args!("# TYPE {name} {kind}"));
        Samples {
            text: &mut self.text,
            series: *series,
        }
    }

    /// A series with one sample and no label.
    pub(super) fn one(&mut self, series: &Series, value: impl Display) {
        self.series(series).sample(&[], value);
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Takes the samples of one series.
pub(super) struct Samples<'p> {
    text: &'p mut String,
    series: Series,
}

impl Samples<'_> {
    /// A sample with the values of the series' labels, in their order.
    pub(super) fn sample(&mut self, values: &[&str], value: impl Display) {
        debug_assert!(
            matches!(self.series.kind, Kind::Counter | Kind::Gauge),
            "it is one number"
        );
        self.write("", values, None, value);
    }

    /// Sum and count, of what is counted in milliseconds or, without `ms`, in ones.
    pub(super) fn summary(&mut self, values: &[&str], (sum, per_one): (u64, f64), count: u64) {
        debug_assert_eq!(self.series.kind, Kind::Summary, "it is sum and count");
        self.write("_sum", values, None, sum as f64 / per_one);
        self.write("_count", values, None, count);
    }

    /// All that a histogram has counted.
    pub(super) fn histogram(&mut self, values: &[&str], counted: &Counted) {
        debug_assert_eq!(self.series.kind, Kind::Histogram, "it has bounds");
        let mut within = 0;
        for (at, count) in counted.counts.iter().enumerate() {
            within += count;
            let bound = match counted.bounds_us.get(at) {
                Some(us) => (*us as f64 / SECOND_US).to_string(),
                None => "+Inf".to_owned(),
            };
            self.write("_bucket", values, Some(&bound), within);
        }
        self.write("_sum", values, None, counted.sum_us as f64 / SECOND_US);
        self.write("_count", values, None, within);
    }

    fn write(&mut self, suffix: &str, values: &[&str], bound: Option<&str>, value: impl Display) {
        debug_assert_eq!(
            values.len(),
            self.series.labels.len(),
            "each label has a value"
        );
        self.text.push_str(self.series.name);
        self.text.push_str(suffix);
        let labels = self
            .series
            .labels
            .iter()
            .copied()
            .zip(values.iter().copied());
        let labels = labels.chain(bound.map(|bound| ("le", bound)));
        let mut before = '{';
        for (label, value) in labels {
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            self.text.push(before);
            put(self.text, format_args!("{label}=\"{value}\""));
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        line(self.text, format_args!(" {value}"));
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = text.write_fmt(what);
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    put(text, what);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use runtime::measure::Histogram;

    use super::*;

    fn series(kind: Kind, labels: &'static [&'static str]) -> Series {
        Series {
            name: "a_seconds",
            kind,
            help: "One\\two\nthree.",
            labels,
        }
    }

    #[test]
    fn nothing_in_a_name_or_a_help_ends_a_line() {
        let mut page = Page::default();
        let gauge = series(Kind::Gauge, &["queue", "site"]);
        page.series(&gauge).sample(&["a\"b\\c\nd", "fra"], 7);
        assert_eq!(
            page.into_text(),
            "# HELP a_seconds One\\\\two\\nthree.\n# TYPE a_seconds gauge\n\
             a_seconds{queue=\"a\\\"b\\\\c\\nd\",site=\"fra\"} 7\n"
        );
    }

    #[test]
    fn a_histogram_is_shown_in_seconds_and_adds_up() {
        let histogram = Histogram::new(&[500, 1_000_000]);
        for us in [400, 600, 2_000_000] {
            histogram.count(Duration::from_micros(us));
        }
        let mut page = Page::default();
        let shown = series(Kind::Histogram, &["group"]);
        page.series(&shown).histogram(&["main"], &histogram.read());
        let text = page.into_text();
        let samples: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            samples,
            [
                "a_seconds_bucket{group=\"main\",le=\"0.0005\"} 1",
                "a_seconds_bucket{group=\"main\",le=\"1\"} 2",
                "a_seconds_bucket{group=\"main\",le=\"+Inf\"} 3",
                "a_seconds_sum{group=\"main\"} 2.001",
                "a_seconds_count{group=\"main\"} 3",
            ]
        );
    }

    #[test]
    fn a_summary_is_a_sum_and_a_count() {
        let mut page = Page::default();
        page.series(&series(Kind::Summary, &[]))
            .summary(&[], (1_500, 1_000.0), 2);
        let text = page.into_text();
        assert!(
            text.ends_with("summary\na_seconds_sum 1.5\na_seconds_count 2\n"),
            "{text}"
        );
    }
}
