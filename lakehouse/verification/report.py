"""The report of a verification: as JSON, and as a page to read and sign."""

from __future__ import annotations

import html
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from lakehouse.verification.rules import ColumnCheck


@dataclass(frozen=True)
class Check:
    """The outcome of one check of the whole warehouse.

    Attributes:
        id: Name of the check.
        clause: Clause of the law or standard that requires it.
        says: The condition, one sentence.
        checked: Number of objects checked.
        findings: Violations, one line each, without a value from the data.
        notes: Facts for a person to judge; they are no findings.
    """

    id: str
    clause: str
    says: str
    checked: int
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class VerifyReport:
    """The outcome of ``verify``: all checks and all rules with their findings.

    Attributes:
        warehouse: Path of the warehouse.
        profile: De-identification profile.
        policy_sha256: SHA-256 of the policy file.
        key_id: Id of the secret.
        data_use_agreement: Reference of the agreement, if any.
        software: Version of this software.
        verified_at: Time of the verification.
        checks: Checks of the warehouse as a whole.
        columns: Rules of the profile, column by column.
    """

    warehouse: str
    profile: str
    policy_sha256: str
    key_id: str
    data_use_agreement: str | None
    software: str
    verified_at: str
    checks: list[Check] = field(default_factory=list)
    columns: list[ColumnCheck] = field(default_factory=list)

    @property
    def n_findings(self) -> int:
        """Number of findings."""
        return sum(len(c.findings) for c in self.checks) + sum(c.findings for c in self.columns)

    @property
    def passed(self) -> bool:
        """Whether there is no finding."""
        return self.n_findings == 0

    def to_json(self) -> str:
        """Return the whole report as JSON."""
        content: dict[str, Any] = {"passed": self.passed, "n_findings": self.n_findings}
        return json.dumps(content | asdict(self), indent=2)

    def to_html(self) -> str:
        """Return the report as one page, with a line to sign it on."""
        facts = [
            ("Warehouse", self.warehouse),
            ("Profile", self.profile),
            ("Policy SHA-256", self.policy_sha256),
            ("Key id", self.key_id),
            ("Data use agreement", self.data_use_agreement or "none"),
            ("Verified at", self.verified_at),
            ("Software", self.software),
        ]
        checks = [(c.id, c.clause, c.says, f"{c.checked:,}", len(c.findings)) for c in self.checks]
        findings = [(c.id, line) for c in self.checks for line in c.findings]
        notes = [(c.id, line) for c in self.checks for line in c.notes]
        columns = [
            (c.rule, c.clause, c.says, f"{c.table}.{c.column}", f"{c.rows:,}", c.findings)
            for c in self.columns
        ]
        verdict = "passed" if self.passed else f"{self.n_findings:,} findings"
        tone = "good" if self.passed else "bad"
        parts = [
            f"<h1>Verification: <span class={tone}>{verdict}</span></h1>",
            _table((), facts),
            "<h2>The warehouse</h2>",
            _table(("check", "clause", "must hold", "checked", "findings"), checks),
            *(["<h2>Findings</h2>", _table(("check", "finding"), findings)] if findings else []),
            *(["<h2>To be judged</h2>", _table(("check", "note"), notes)] if notes else []),
            "<h2>The profile, column by column</h2>",
            _table(("rule", "clause", "must hold", "column", "values", "findings"), columns),
            "<p class=sign>Reviewed by: ______________________ &nbsp; Date: ______________</p>",
        ]
        return _PAGE.replace("{body}", "\n".join(parts))


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    top = "".join(f"<th>{h}</th>" for h in head)
    lines = ["<tr>" + "".join(_cell(v) for v in row) + "</tr>" for row in rows]
    return f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f"<td class={'good' if value == 0 else 'bad'}>{value:,}</td>"
    return f"<td>{html.escape(str(value))}</td>"


_PAGE = """<!doctype html>
<html lang=en><meta charset=utf-8><title>Verification of a clinical lakehouse</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
       color: #1b2430 }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem }
td, th { text-align: left; vertical-align: top; padding: .3rem .6rem;
         border-bottom: 1px solid #d5dbe3 }
th { background: #f2f5f8 }
.good { color: #11643a; font-weight: 600 } .bad { color: #a3161f; font-weight: 600 }
.sign { margin-top: 3rem }
@media print { body { margin: 0; max-width: none } }
</style>
{body}
</html>
"""
