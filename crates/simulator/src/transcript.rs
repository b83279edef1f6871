//! A report as a Markdown file that a reader who knows SCIM, and not Rust, can check: what the
//! admin did as a heading, requests and answers below it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use crate::report::{Exchange, Outcome, Report, Step};
use crate::wire::{Request, Response};

/// Exchanges of one step that are shown in full; of the others there is a line.
const FULL_EXCHANGES: usize = 8;

/// Elements of an array that are shown; of the others there is their number.
const FULL_ELEMENTS: usize = 4;

/// Characters of a line of a body, where it can be helped.
const LINE: usize = 100;

/// Characters from which on a credential is looked for in what a server says. A shorter one is
/// nobody's real one, and would be found within words.
const CREDENTIAL: usize = 8;

/// Writes the whole report. Credentials are left out: where they are sent, and where a server
/// repeats them.
pub fn markdown(report: &Report) -> String {
    let mut text = format!("# {}\n", report.title);
    for step in &report.steps {
        write_step(&mut text, step).expect("text can be written to");
    }
    for credential in credentials(report) {
        text = text.replace(credential, "…");
    }
    text
}

/// What was sent in `Authorization`, without the scheme.
fn credentials(report: &Report) -> BTreeSet<&str> {
    report
        .steps
        .iter()
        .flat_map(|step| &step.exchanges)
        .filter_map(|exchange| exchange.request.header("Authorization"))
        .map(|value| value.split_once(' ').map_or(value, |(_, credential)| credential))
        .filter(|credential| credential.len() >= CREDENTIAL)
        .collect()
}

fn write_step(text: &mut String, step: &Step) -> std::fmt::Result {
    writeln!(text, "\n## {}. {}\n", step.number, step.sentence)?;
    match step.outcome {
        Outcome::Accepted => writeln!(text, "Accepted.")?,
        Outcome::RefusedAsItShould => writeln!(text, "Refused, as it should be.")?,
        Outcome::Failed => writeln!(text, "**Failed.**")?,
    }
    for shown in &step.admin_texts {
        writeln!(text, "\n> Okta shows: {shown}")?;
    }
    for note in &step.notes {
        writeln!(text, "\nOkta: {note}.")?;
    }
    for (_, finding) in step.all_findings() {
        writeln!(text, "\n> {}: {}", finding.rule.name(), finding.text)?;
    }
    let exchanges = &step.exchanges;
    // A crowd is like its first; what follows the crowd shows at the end.
    let shown = if exchanges.len() > FULL_EXCHANGES { 4 } else { exchanges.len() };
    for exchange in &exchanges[..shown] {
        write_exchange(text, exchange)?;
    }
    if shown < exchanges.len() {
        writeln!(text, "\nThe same for the others:\n\n```http")?;
        for exchange in &exchanges[shown..] {
            let Request { method, path_and_query, .. } = &exchange.request;
            writeln!(text, "{method} {path_and_query} -> {}", exchange.status())?;
        }
        writeln!(text, "```")?;
    }
    Ok(())
}

fn write_exchange(text: &mut String, exchange: &Exchange) -> std::fmt::Result {
    let Request { method, path_and_query, headers, .. } = &exchange.request;
    writeln!(text, "\n```http\n{method} {path_and_query}")?;
    for (name, value) in headers {
        // The same in every request; the first one of a run shows them.
        let is_constant = name.starts_with("Accept") || name == "User-Agent";
        if is_constant && exchange.number > 1 {
            continue;
        }
        match (name.as_str(), value.split_once(' ')) {
            ("Authorization", Some((scheme, _))) => writeln!(text, "{name}: {scheme} …")?,
            ("Authorization", None) => writeln!(text, "{name}: …")?,
            _ => writeln!(text, "{name}: {value}")?,
        }
    }
    if !exchange.request.body.is_empty() {
        writeln!(text, "\n{}", shown_body(&exchange.request.body))?;
    }
    writeln!(text, "```\n\n```http")?;
    match &exchange.answer {
        Ok(Response { status, body, .. }) => {
            writeln!(text, "{status}")?;
            if !body.is_empty() {
                writeln!(text, "\n{}", shown_body(body))?;
            }
        }
        Err(_) => writeln!(text, "{}", exchange.status())?,
    }
    writeln!(text, "```")
}

/// A body, laid out; long arrays are cut.
fn shown_body(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body) {
        Ok(mut value) => {
            cut(&mut value);
            lay_out(&value, 0)
        }
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

fn cut(value: &mut Value) {
    match value {
        Value::Array(elements) => {
            if elements.len() > FULL_ELEMENTS {
                let more = elements.len() - 2;
                elements.truncate(2);
                elements.push(format!("… and {more} more").into());
            }
            elements.iter_mut().for_each(cut);
        }
        Value::Object(members) => members.values_mut().for_each(cut),
        _ => {}
    }
}

/// Prints a value on one line where it fits, otherwise one member or element to a line.
fn lay_out(value: &Value, indent: usize) -> String {
    let line = value.to_string();
    if indent + line.chars().count() <= LINE && indent > 0 {
        return line;
    }
    let (open, parts, close): (_, Vec<String>, _) = match value {
        Value::Object(members) if !members.is_empty() => {
            let part = |(name, value): (&String, &Value)| {
                format!("{}: {}", Value::from(name.as_str()), lay_out(value, indent + 2))
            };
            ('{', members.iter().map(part).collect(), '}')
        }
        Value::Array(elements) if !elements.is_empty() => {
            ('[', elements.iter().map(|it| lay_out(it, indent + 2)).collect(), ']')
        }
        _ => return line,
    };
    let (outer, inner) = (" ".repeat(indent), " ".repeat(indent + 2));
    let parts = parts.join(&format!(",\n{inner}"));
    format!("{open}\n{inner}{parts}\n{outer}{close}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Verdict;
    use crate::wire::Method;

    #[test]
    fn a_credential_that_the_server_repeats_is_left_out() {
        let secret = "s3cret-t0ken";
        let detail = format!("`{secret}` is not known");
        for authorization in [format!("Bearer {secret}"), secret.to_owned()] {
            let request = Request {
                method: Method::Get,
                path_and_query: "/Users".to_owned(),
                headers: vec![("Authorization".to_owned(), authorization)],
                body: Vec::new(),
            };
            let exchange = Exchange {
                number: 1,
                request,
                answer: Ok(Response::json(401, &serde_json::json!({ "detail": detail }))),
                verdict: Verdict::Failed,
                findings: Vec::new(),
            };
            let mut report = Report::new("Okta");
            report.steps.push(Step {
                number: 1,
                sentence: "Test the credentials".to_owned(),
                outcome: Outcome::Failed,
                exchanges: vec![exchange],
                admin_texts: vec![detail.clone()],
                notes: Vec::new(),
                findings: Vec::new(),
            });
            let text = markdown(&report);
            assert!(!text.contains(secret), "{text}");
            assert_eq!(text.matches("`…` is not known").count(), 2, "{text}");
        }
    }
}
