//! The report as a self-contained HTML page.

use std::fmt::Write;

use crate::report::{Attempt, Report};

const STYLE: &str = "body{font:15px system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;\
color-scheme:light dark}table{border-collapse:collapse;width:100%}td,th{padding:.25rem .5rem;\
text-align:left;border-bottom:1px solid #8884;vertical-align:top}.n{text-align:right}pre{white-space:pre-wrap}";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn outcome(attempt: &Attempt) -> &'static str {
    if attempt.passed { "passed" } else { "failed" }
}

/// Renders the report as HTML.
pub fn html(report: &Report) -> String {
    let title = escape(&format!("{} with {}", report.name, report.model));
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\
         <h1>{title}</h1><pre>{}</pre><table><thead><tr><th>problem</th><th>bare model</th>\
         <th>journeyman</th><th>status</th><th class=\"n\">tokens</th><th class=\"n\">seconds</th>\
         <th class=\"n\">versions</th><th>what the hidden tests said</th></tr></thead><tbody>",
        escape(&report.text())
    );
    for problem in &report.results {
        let worked = &problem.journeyman;
        let verified = if worked.verified { ", verified" } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}{verified}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{:.1}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            escape(&problem.id),
            outcome(&problem.bare),
            outcome(&worked.attempt),
            escape(&worked.status),
            worked.attempt.tokens,
            worked.attempt.seconds,
            worked.versions,
            escape(&worked.attempt.detail)
        );
    }
    page.push_str("</tbody></table></body></html>\n");
    page
}
