//! Which text format a scraper gets.

use super::Kind;
use super::catalogue::ALL;

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0, which ends with `# EOF`.
    OpenMetrics,
    /// Prometheus 0.0.4, which the node exporter's textfile collector and old scrapers read.
    Prometheus,
}

impl Format {
    /// What an `Accept` header asks for: OpenMetrics, unless plain text is preferred.
    pub fn accepted(accept: Option<&str>) -> Self {
        let Some(accept) = accept else { return Self::OpenMetrics };
        let (mut open, mut plain) = (0.0_f64, 0.0_f64);
        for choice in accept.split(',') {
            let mut parts = choice.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts
                .filter_map(|part| part.split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
                .and_then(|(_, value)| value.trim().parse::<f64>().ok())
                .unwrap_or(1.0);
            match kind.as_str() {
                "application/openmetrics-text" | "application/*" => open = open.max(weight),
                "text/plain" | "text/*" => plain = plain.max(weight),
                "*/*" => (open, plain) = (open.max(weight), plain.max(weight)),
                _ => {}
            }
        }
        if plain > open { Self::Prometheus } else { Self::OpenMetrics }
    }

    /// Its content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Text in this format from text in OpenMetrics.
    pub fn of(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Prometheus => to_prometheus(&open_metrics),
        }
    }
}

/// The older format knows no `# EOF`, no units and no info, and describes
/// counters by the name that their samples have.
fn to_prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF" | "UNIT"), ..) => {}
            (Some("#"), Some("HELP"), Some(name), Some(help)) => {
                // Quotes are escaped in OpenMetrics only.
                let help = help.replace("\\\"", "\"");
                text.push_str(&format!("# HELP {} {help}\n", sample_name(name)));
            }
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let kind = match kind {
                    "info" => "gauge",
                    "unknown" => "untyped",
                    other => other,
                };
                text.push_str(&format!("# TYPE {} {kind}\n", sample_name(name)));
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

/// The name that the samples of a described family have.
fn sample_name(family: &str) -> String {
    let suffix = |kind| match kind {
        Kind::Counter => "_total",
        Kind::Info => "_info",
        Kind::Gauge | Kind::Histogram => "",
    };
    let of = |metric: &&super::Metric| {
        metric.full_name().strip_suffix(suffix(metric.kind)).is_some_and(|name| name == family)
    };
    ALL.iter().find(of).map_or_else(|| family.to_owned(), super::Metric::full_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_the_format_that_it_likes_best() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, expected) in [
            (None, Format::OpenMetrics),
            (Some(""), Format::OpenMetrics),
            (Some("*/*"), Format::OpenMetrics),
            (Some("application/json"), Format::OpenMetrics),
            (Some(prometheus_2), Format::OpenMetrics),
            (Some("text/plain;version=0.0.4"), Format::Prometheus),
            (Some("Text/Plain"), Format::Prometheus),
            (Some("text/plain; version=0.0.4; q=0.9, */*; q=0.1"), Format::Prometheus),
            (Some("text/plain;q=0.2, application/openmetrics-text;q=0.3"), Format::OpenMetrics),
        ] {
            assert_eq!(Format::accepted(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn the_older_format_names_counters_as_their_samples_and_has_no_end() {
        let text = "# HELP guardian_events Changes \\\"told\\\".\n# TYPE guardian_events counter\n\
                    guardian_events_total{root=\"# EOF\"} 3\n# HELP guardian_build The program.\n\
                    # TYPE guardian_build info\nguardian_build_info{version=\"1\"} 1\n\
                    # TYPE guardian_cpu_seconds counter\n# UNIT guardian_cpu_seconds seconds\n\
                    guardian_cpu_seconds_total 1.5\n# EOF\n";
        assert_eq!(
            Format::Prometheus.of(text.to_owned()),
            "# HELP guardian_events_total Changes \"told\".\n# TYPE guardian_events_total counter\n\
             guardian_events_total{root=\"# EOF\"} 3\n# HELP guardian_build_info The program.\n\
             # TYPE guardian_build_info gauge\nguardian_build_info{version=\"1\"} 1\n\
             # TYPE guardian_cpu_seconds_total counter\nguardian_cpu_seconds_total 1.5\n"
        );
        assert_eq!(Format::OpenMetrics.of(text.to_owned()), text);
    }
}
