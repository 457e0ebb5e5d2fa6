//! `dejima doctor`: what is not as it should be, and what to do about it.

use std::process::ExitCode;
use std::time::Duration;

use dejima_proto::v1::{ExamineRequest, Finding, FindingState};
use serde_json::json;

use crate::failure::Failure;
use crate::inspect::{bounded, operator, unanswered};
use crate::output::{Output, Rows, print, print_json};

/// As monitoring plugins end: 0 ok, 1 warning, 2 critical, 3 unknown.
const UNKNOWN: u8 = 3;

/// Each copy is read several times.
const COPIES_MAX: Duration = Duration::from_secs(600);

/// Has the peer examine everything.
pub(crate) async fn doctor(
    address: Result<String, Failure>,
    all: bool,
    copies: bool,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let findings = examine(address, copies)
        .await
        .map_err(|failure| failure.ending_with(UNKNOWN))?;
    let number = |state| {
        findings
            .iter()
            .filter(|found| found.state() == state)
            .count()
    };
    let (checks, warnings, critical) = (
        findings.len(),
        number(FindingState::Warning),
        number(FindingState::Critical),
    );
    if output == Output::Json {
        let findings: Vec<_> = findings.iter().map(finding_json).collect();
        print_json(&json!({
            "findings": findings, "checks": checks, "warnings": warnings, "critical": critical,
        }))?;
    } else {
        print_findings(&findings, all)?;
        print(format_args!(
            "{checks} checks, {warnings} warnings, {critical} critical"
        ))?;
    }
    Ok(ExitCode::from(match (critical, warnings) {
        (0, 0) => 0,
        (0, _) => 1,
        _ => 2,
    }))
}

async fn examine(address: Result<String, Failure>, copies: bool) -> Result<Vec<Finding>, Failure> {
    let address = address?;
    let mut request = bounded(ExamineRequest { copies });
    if copies {
        request.set_timeout(COPIES_MAX);
    }
    let answer = operator(&address)?.examine(request).await;
    let mut findings = answer
        .map_err(|status| unanswered(&address, &status))?
        .into_inner()
        .findings;
    // The worst first.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.state));
    Ok(findings)
}

fn print_findings(findings: &[Finding], all: bool) -> anyhow::Result<()> {
    let mut rows = Rows::new(&["state", "check", "what", "cure"]);
    let shown = findings
        .iter()
        .filter(|found| all || found.state() != FindingState::Ok);
    for finding in shown {
        rows.add_row([state(finding), &finding.check, &finding.what, &finding.cure]);
    }
    if !rows.is_empty() {
        print(rows)?;
    }
    Ok(())
}

fn finding_json(finding: &Finding) -> serde_json::Value {
    json!({
        "check": finding.check, "state": state(finding), "what": finding.what, "cure": finding.cure,
    })
}

/// What this version of the command does not know is no reason to be calm.
fn state(finding: &Finding) -> &'static str {
    match finding.state() {
        FindingState::Ok => "ok",
        FindingState::Warning => "warning",
        FindingState::Critical => "critical",
        FindingState::Unspecified => "unknown",
    }
}
