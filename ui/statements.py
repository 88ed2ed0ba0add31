"""All SCP statements of a diagnosis: which are shown, in which order, the table, and how two diagnoses differ."""

from collections.abc import Container, Sequence
from html import escape

import streamlit as st

from ecg.statements import GROUPS, RHYTHMS
from inference.diagnosis import Diagnosis
from inference.sentences import NOT_FROM_THESE_LEADS
from inference.summary import LIKELY, StatementResult, capitalised
from ui.html import likeliest_first, percent, probability_row_html

ORDERS = {
    "Asserted first": lambda one: (not one.asserted, -one.probability),
    "Probability": lambda one: -one.probability,
    "Code": lambda one: one.code,
    "Name": lambda one: one.name.lower(),
    "Validated first": lambda one: (not one.validated, -one.probability),
}
COLUMNS = ("Code", "Statement", "Probability", "Threshold", "Asserted", "Validated", "Group", "SNOMED CT")
LIKELIEST_RHYTHMS = 4  # shown as reasons


@st.fragment
def show_statements(diagnosis: Diagnosis) -> None:
    """The table with its search, group and order."""
    statements = diagnosis.statements
    st.subheader("All statements", anchor=False)
    search, group, order = st.columns((3, 4, 2), vertical_alignment="top")
    text = search.text_input("Search", key="statement search", placeholder="Code, name, class or SNOMED CT code")
    counts = {name: sum(name in one.groups for one in statements) for name in GROUPS}
    chosen = group.segmented_control(
        "Group",
        ("all", *GROUPS),
        default="all",
        required=True,
        key="statement group",
        format_func=lambda name: f"{capitalised(name)} {counts.get(name, len(statements))}",
    )
    by = order.selectbox("Sort by", list(ORDERS), key="statement order")
    found = arrange(statements, text, "" if chosen == "all" else chosen, by)
    st.html(statements_html(found, diagnosis.not_assessable))
    asserted = sum(one.asserted for one in statements)
    st.caption(
        f"{len(found)} of {len(statements)} statements shown; {asserted} asserted. Asserted is what reaches its "
        f"threshold; below {percent(LIKELY)} it is called possible. A statement that is not validated has too few "
        "examples in the validation set, or is told apart too poorly there, to be asserted. One that reaches its "
        "threshold is still not asserted if its class is not, or if another rhythm is likelier."
    )


def arrange(
    statements: Sequence[StatementResult], text: str = "", group: str = "", order: str = "Asserted first"
) -> list[StatementResult]:
    """The statements of a group (all if empty) in which each word of a text occurs, in one of ``ORDERS``."""
    words = text.lower().split()

    def matches(one: StatementResult) -> bool:
        facts = f"{one.code} {one.name} {one.subclass} {one.superclass} {one.snomed_ct}".lower()
        return (not group or group in one.groups) and all(word in facts for word in words)

    return sorted(filter(matches, statements), key=ORDERS[order])


def statements_html(statements: Sequence[StatementResult], not_assessable: Container[str] = ()) -> str:
    """A table, a row a statement, in a box that scrolls. not_assessable: codes of what the leads do not show."""
    if not statements:
        return '<p class="note">No statement matches. Clear the search, or choose another group.</p>'
    head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
    rows = "".join(_row_html(one, one.code not in not_assessable) for one in statements)
    return (
        '<div class="statements" tabindex="0" role="region" aria-label="Statements">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row_html(one: StatementResult, assessable: bool) -> str:
    kind = "yes" if one.asserted else "" if one.validated else "unvalidated"
    group = ", ".join(one.groups) + (f" · {one.superclass}" if one.superclass else "")
    track = (
        f'<div class="track"><div class="fill" style="width:{100 * one.probability:.1f}%"></div>'
        f'<div class="tick" style="left:{100 * one.threshold:.1f}%"></div></div>'
    )
    cells = (
        escape(capitalised(one.name)),
        f'<div class="probability">{track}{percent(one.probability)}</div>',
        percent(one.threshold),
        ("✓ yes" if one.probability >= LIKELY else "✓ possible") if one.asserted else "no",
        "yes" if one.validated else "not validated" if assessable else NOT_FROM_THESE_LEADS,
        group,
        one.snomed_ct or "–",
    )
    row = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr class="{kind}"><th scope="row">{one.code}</th>{row}</tr>'


def likeliest_rhythms_html(diagnosis: Diagnosis) -> str:
    """The likeliest of the nine rhythms as bars with their thresholds; the one that is named is marked."""
    rhythms = [one for one in diagnosis.statements if one.code in RHYTHMS]
    rows = [
        probability_row_html(
            one.code,
            escape(one.name) + ("" if one.validated else " <i>(not validated)</i>"),
            one.probability,
            one.threshold,
            one.asserted,
            one.code not in diagnosis.not_assessable,
        )
        for one in likeliest_first(rhythms)[:LIKELIEST_RHYTHMS]
    ]
    return f'<div class="bars narrow">{"".join(rows)}</div>'


def differences(first: Diagnosis, second: Diagnosis) -> dict[str, list[str]]:
    """Which statements are asserted of the first of two ECGs only, of the second only, and of both: their names."""
    one, other = ({s.code: capitalised(s.name) for s in d.statements if s.asserted} for d in (first, second))
    return {
        "Only in the first": [name for code, name in one.items() if code not in other],
        "Only in the second": [name for code, name in other.items() if code not in one],
        "In both": [name for code, name in one.items() if code in other],
    }
