//! The two forms of the metrics page, and which of them a reader asks for.

/// How the metrics are written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.0, which has exemplars.
    OpenMetrics,
}

impl Format {
    /// The form that the values of `Accept` prefer; without a clear wish for OpenMetrics it is text.
    pub fn wanted<'a>(accept: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut open, mut text) = (0.0_f64, 0.0_f64);
        for range in accept.into_iter().flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1.0, "");
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name.trim().to_ascii_lowercase().as_str() {
                    // What is no number is no wish.
                    "q" => quality = value.trim().parse().unwrap_or(0.0),
                    "version" => version = value.trim().trim_matches('"'),
                    _ => {}
                }
            }
            match (kind.as_str(), version) {
                ("application/openmetrics-text", "" | "1.0.0") => open = open.max(quality),
                ("text/plain" | "text/*" | "*/*", _) => text = text.max(quality),
                _ => {}
            }
        }
        if open > 0.0 && open >= text { Format::OpenMetrics } else { Format::Text }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => prometheus::TEXT_FORMAT,
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_prefers_open_metrics_gets_it_and_nobody_else() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let cases: [(&[&str], Format); 12] = [
            (&[], Format::Text),
            (&[""], Format::Text),
            (&["*/*"], Format::Text),
            (&["text/plain; version=0.0.4"], Format::Text),
            (&[prometheus], Format::OpenMetrics),
            (&["Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8"], Format::OpenMetrics),
            (&["text/plain;q=0.5", "application/openmetrics-text"], Format::OpenMetrics),
            (&["application/openmetrics-text; version=2.0.0"], Format::Text),
            (&["application/openmetrics-text; version=1.0.0; q=0.3, text/plain"], Format::Text),
            (&["application/openmetrics-text; q=0"], Format::Text),
            (&["application/openmetrics-text; q=much"], Format::Text),
            (&["application/openmetrics"], Format::Text),
        ];
        for (accept, format) in cases {
            assert_eq!(Format::wanted(accept.iter().copied()), format, "{accept:?}");
        }
    }
}
