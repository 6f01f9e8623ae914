//! The same answers in XML, the service's default when `Accept` does not ask for JSON.

use std::fmt::Write as _;

use serde_json::Value;

const NAMESPACE: &str = "http://schema.intuit.com/finance/v3";

/// Members that are attributes in the XML form.
fn is_attribute(element: &str, member: &str) -> bool {
    matches!(
        (element, member),
        ("Row", "type" | "group") | ("ColData", "value" | "id") | ("Fault", "type") | ("Error", "code" | "element")
    )
}

/// A report as `Report`, anything else inside `IntuitResponse`.
pub(super) fn render(value: &Value) -> String {
    let mut out = String::from(r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#);
    let root = if value.get("Columns").is_some() { "Report" } else { "IntuitResponse" };
    let time = value.get("time").and_then(Value::as_str);
    let _ = write!(out, r#"<{root} xmlns="{NAMESPACE}""#);
    if let Some(time) = time {
        let _ = write!(out, r#" time="{}""#, escaped(time));
    }
    out.push('>');
    for (name, member) in value.as_object().into_iter().flatten().filter(|(name, _)| *name != "time") {
        element(&mut out, name, member);
    }
    let _ = write!(out, "</{root}>");
    out
}

fn element(out: &mut String, name: &str, value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| element(out, name, item)),
        Value::Object(members) => {
            let _ = write!(out, "<{name}");
            let (attributes, children): (Vec<_>, Vec<_>) =
                members.iter().partition(|(member, _)| is_attribute(name, member));
            for (member, value) in attributes {
                let _ = write!(out, r#" {member}="{}""#, escaped(&scalar(value)));
            }
            out.push('>');
            children.into_iter().for_each(|(member, value)| element(out, member, value));
            let _ = write!(out, "</{name}>");
        }
        value => {
            let _ = write!(out, "<{name}>{}</{name}>", escaped(&scalar(value)));
        }
    }
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
