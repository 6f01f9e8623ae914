//! What goes wrong, on which route, at which request.

use std::ops::{Bound, RangeBounds};
use std::time::Duration;

use super::{Reply, Request};

/// One way to misbehave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Answer this instead; the handler never sees the request. Also a Fault on a 200, `null`, an empty body, …
    Reply(Reply),
    /// Answer properly, but only after this long.
    Delay(Duration),
    /// Announce the whole body's length, send this many bytes of it and close.
    CutBody(usize),
    /// A body cut to this many bytes whose announced length is right: broken JSON that arrives in full.
    BrokenBody(usize),
    /// The proper answer under another content type.
    ContentType(String),
    /// Reset the connection before the handler sees the request.
    Reset,
    /// Let the handler do its work, then reset the connection: the effect is there, the answer lost.
    LoseAnswer,
    /// Accept the request and say nothing.
    Stall,
}

impl Fault {
    /// Answer this instead.
    pub fn reply(reply: Reply) -> Self {
        Fault::Reply(reply)
    }

    /// 200 with nothing in it.
    pub fn empty() -> Self {
        Fault::Reply(Reply::json(200, ""))
    }

    /// 200 with the JSON word `null`.
    pub fn null() -> Self {
        Fault::Reply(Reply::json(200, "null"))
    }
}

#[derive(Debug, Clone)]
struct Rule {
    route: String,
    from: u64,
    to: u64,
    seen: u64,
    fault: Fault,
}

/// Faults by route and by how many requests of that route came before.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    rules: Vec<Rule>,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn new() -> Self {
        Self::default()
    }

    /// Do `fault` at those requests (the first is 1) that match `route`.
    ///
    /// A route is `METHOD path` where `*` stands for any text, in the method too: `GET */reports/CashFlow`, `* *`. A
    /// route with a question mark is held against path and query. Each rule counts by itself all requests that match its
    /// route; the first rule whose turn it is wins.
    pub fn on(mut self, route: &str, requests: impl RangeBounds<u64>, fault: Fault) -> Self {
        let from = match requests.start_bound() {
            Bound::Included(&first) => first,
            Bound::Excluded(&before) => before + 1,
            Bound::Unbounded => 1,
        };
        let to = match requests.end_bound() {
            Bound::Included(&last) => last,
            Bound::Excluded(&after) => after.saturating_sub(1),
            Bound::Unbounded => u64::MAX,
        };
        self.rules.push(Rule { route: route.to_owned(), from, to, seen: 0, fault });
        self
    }

    /// Count a request and say what is to go wrong with it.
    pub(super) fn next(&mut self, request: &Request) -> Option<Fault> {
        let mut hit = None;
        for rule in &mut self.rules {
            let mut target = format!("{} {}", request.method, request.path);
            if rule.route.contains('?') {
                target = format!("{target}?{}", request.query);
            }
            if matches(&rule.route, &target) {
                rule.seen += 1;
                if hit.is_none() && (rule.from..=rule.to).contains(&rule.seen) {
                    hit = Some(rule.fault.clone());
                }
            }
        }
        hit
    }
}

/// Does `text` match `pattern`, in which `*` stands for any text?
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches("GET /v3/*/reports/CashFlow", "GET /v3/company/1/reports/CashFlow"));
        assert!(matches("* *", "POST /"));
        assert!(matches("GET /a*?*page=2*", "GET /abc?x=1&page=2"));
        assert!(!matches("GET /a", "GET /ab"));
        assert!(!matches("GET */b", "POST /b"));
        assert!(!matches("GET /aa*aa", "GET /aaa"));
    }
}
