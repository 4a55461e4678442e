//! Scraping by hand, and reading what comes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::harness::Home;

/// An answer: status, head in lower case, body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Asks whoever is at the other end, once.
pub(crate) fn ask(mut stream: impl Read + Write, method: &str, path: &str, accept: Option<&str>) -> Answer {
    let accept = accept.map_or_else(String::new, |accept| format!("Accept: {accept}\r\n"));
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: guardian\r\nConnection: close\r\n{accept}\r\n")
        .unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// What the agent's socket gives a scraper.
pub(crate) fn scrape(home: &Home, accept: Option<&str>) -> Answer {
    ask(UnixStream::connect(home.path("socket")).unwrap(), "GET", "/metrics", accept)
}

/// One sample.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// All samples of a text, in either format.
pub(crate) fn samples(text: &str) -> Vec<Sample> {
    let read = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}')?;
        // No value of a label here holds a comma or a quote.
        let pairs = labels.split(',').filter(|pair| !pair.is_empty());
        let labels = pairs.map(|pair| {
            let (label, value) = pair.split_once('=').unwrap();
            (label.to_owned(), value.trim_matches('"').to_owned())
        });
        Some(Sample { name: name.to_owned(), labels: labels.collect(), value: value.parse().ok()? })
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| read(line).unwrap_or_else(|| panic!("not a sample: {line:?}"))).collect()
}

/// The samples of one name whose labels have these values.
pub(crate) fn find(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
    let fits = |sample: &&Sample| {
        sample.name == name
            && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|is| is == value))
    };
    samples.iter().filter(fits).map(|sample| sample.value).collect()
}
