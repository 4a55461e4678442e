//! Figures put together at a scrape, and how they are written down.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::catalogue::{self, Kind, Metric};

/// Names and values, in the order of the metric's labels.
pub type Labels = Vec<(&'static str, String)>;

/// What is known at one moment. Samples of a metric that nobody gave are not there.
#[derive(Debug, Clone, Default)]
pub struct Figures(BTreeMap<usize, Vec<(Labels, f64)>>);

impl Metric {
    /// Its labels with these values.
    pub fn labelled(&self, values: &[&str]) -> Labels {
        debug_assert_eq!(self.labels.len(), values.len(), "{}", self.name);
        self.labels.iter().copied().zip(values.iter().map(|value| (*value).to_owned())).collect()
    }

    /// Its unit, as a registry takes it.
    pub fn registered_unit(&self) -> Option<Unit> {
        match self.unit {
            "" => None,
            "bytes" => Some(Unit::Bytes),
            "seconds" => Some(Unit::Seconds),
            other => Some(Unit::Other(other.to_owned())),
        }
    }
}

impl Figures {
    /// Adds a sample; one that is not known is left out.
    pub fn add(&mut self, metric: &Metric, labels: &[&str], value: Option<f64>) {
        let place = catalogue::ALL.iter().position(|one| one == metric);
        if let (Some(place), Some(value)) = (place, value) {
            self.0.entry(place).or_default().push((metric.labelled(labels), value));
        }
    }

    /// The same for a count.
    pub fn count(&mut self, metric: &Metric, labels: &[&str], value: Option<u64>) {
        self.add(metric, labels, value.map(|value| value as f64));
    }

    /// The same for yes (1) or no (0).
    pub fn flag(&mut self, metric: &Metric, labels: &[&str], value: bool) {
        self.add(metric, labels, Some(f64::from(u8::from(value))));
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (place, samples) in &self.0 {
            let Some(metric) = catalogue::ALL.get(*place) else { continue };
            let unit = metric.registered_unit();
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge | Kind::Histogram => MetricType::Gauge,
                Kind::Info => MetricType::Info,
            };
            let help = format!("{}.", metric.help);
            let mut family = encoder.encode_descriptor(metric.name, &help, unit.as_ref(), kind)?;
            for (labels, value) in samples {
                match metric.kind {
                    Kind::Info => family.encode_info(labels)?,
                    // Without labels there is one sample, and no empty braces.
                    Kind::Counter if labels.is_empty() => {
                        ConstCounter::new(*value).encode(family)?;
                        break;
                    }
                    Kind::Counter => ConstCounter::new(*value).encode(family.encode_family(labels)?)?,
                    Kind::Gauge | Kind::Histogram if labels.is_empty() => {
                        ConstGauge::new(*value).encode(family)?;
                        break;
                    }
                    Kind::Gauge | Kind::Histogram => {
                        ConstGauge::new(*value).encode(family.encode_family(labels)?)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// All as OpenMetrics text: what was counted, and what was found now.
///
/// # Errors
/// Never by itself: writing text to memory.
pub fn written(counted: &Registry, now: Figures) -> Result<String, fmt::Error> {
    let mut found = Registry::default();
    found.register_collector(Box::new(now));
    let mut text = String::new();
    encode_registry(&mut text, counted)?;
    encode_registry(&mut text, &found)?;
    encode_eof(&mut text)?;
    Ok(text)
}
