/** Pieces of the page in HTML; as `ui/html.py` and `ui/statements.py`. */
import type { BinaryResult, Diagnosis, Statement } from "./diagnosis";
import { LEADS, tables } from "./tables";
import { capitalised, escape, percent, sentence } from "./text";

const { not_from_these_leads } = tables.sentences;

/** The headline, what it leaves out, both screening results, and why the prediction is uncertain if it is. */
export function predictionHtml(diagnosis: Diagnosis): string {
  const phrases = diagnosis.headline.map((one) => {
    const isPossible = tables.sentences.possible.some((word) => one.startsWith(word));
    return `<span${isPossible ? ' class="possible"' : ""}>${escape(sentence(one))}</span>`;
  });
  const long = diagnosis.headline.join(". ").length > tables.sentences.long_headline ? ' class="long"' : "";
  const chip = (name: string, outcome: string) => `<span class="chip"><b>${name}:</b> ${escape(outcome)}</span>`;
  const screening = binaryOutcome(diagnosis.mi_vs_norm, "positive", "negative", "not applicable here");
  const abnormal = binaryOutcome(diagnosis.norm_vs_abnormal, "abnormal", "normal", "withheld");
  const reasons = diagnosis.uncertain_because.map((reason) => escape(sentence(reason))).join(" ");
  return (
    `<p class="kicker">Prediction</p><h2${long}>${phrases.join(" ")}</h2>${notAssessedHtml(diagnosis)}` +
    `<div class="chips">${chip("MI screening", screening)}${chip("Normal or abnormal", abnormal)}</div>` +
    (reasons && `<p class="uncertain"><b>Uncertain.</b> ${reasons}</p>`)
  );
}

/** What the headline leaves open: the rhythm, and what these leads do not show. */
function notAssessedHtml({ rhythm, statements, not_assessed }: Diagnosis): string {
  const name = statements.find((one) => one.code === rhythm.code)?.name;
  const no = statements.some((s) => s.validated) ? "rhythm reaches its threshold" : "thresholds were fitted for these leads";
  const likeliest = name ? `${capitalised(name)} is likeliest, but not validated.` : `No ${no}.`;
  const others = not_assessed.filter((note) => note !== `${rhythm.sentence}.`).map(escape);
  const notes = rhythm.certain ? others : [`<b>Rhythm not asserted.</b> ${escape(likeliest)}`, ...others];
  return notes.map((note) => `<p class="not-assessed">${note}</p>`).join("");
}

function binaryOutcome(result: BinaryResult, yes: string, no: string, withheld: string): string {
  if (result.positive === null) return result.withheld_because.replace(/^(?!not assessable)/, `${withheld}: `);
  return `${result.positive ? yes : no}, ${percent(result.probability)}${result.uncertain ? " (borderline)" : ""}`;
}

/** What the prediction was made of and by: leads, network, time, and what is not checked. */
export function factsHtml({ leads, milliseconds, model }: Diagnosis, network: string): string {
  const which = leads.length === LEADS.length ? "all 12" : leads.join(", ");
  const rest = "swapped electrodes, leads out of order, wrong sampling rates, signs against sinus rhythm";
  const by = `${escape(network)} <code>${model.slice(0, 12)}</code>`;
  const parts = { "Leads used": which, Network: by, Time: `${milliseconds.toFixed(1)} ms`, "Not checked here": rest };
  return Object.entries(parts).map(([name, text]) => `<b>${name}:</b> ${text}.`).join(" ");
}

/** What the reader had to do, in one box; nothing if that is nothing. */
export function warningsHtml(warnings: string[]): string {
  const items = warnings.map((one) => `<li>${escape(sentence(one))}</li>`).join("");
  return items && `<ul class="warning">${items}</ul>`;
}

const track = (probability: number, threshold: number): string =>
  `<svg class="track" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">` +
  `<rect class="fill" width="${(100 * probability).toFixed(1)}" height="10"/>` +
  `${threshold >= 0 ? `<path class="tick" d="M${(100 * threshold).toFixed(1)} -2V12"/>` : ""}</svg>`;

/** The superclasses as bars with their thresholds. */
export function probabilitiesHtml({ probabilities, thresholds, predicted_classes, not_assessable }: Diagnosis): string {
  const rows = Object.entries(probabilities).map(([name, probability]) => {
    const title = tables.superclass_names[name as keyof typeof tables.superclass_names];
    const [isHidden, isPredicted] = [not_assessable, predicted_classes].map((names) => names.includes(name));
    const kind = isHidden ? "unassessed" : isPredicted ? "yes" : "";
    const outcome = isPredicted ? "predicted" : "not predicted";
    const verdict = isHidden ? not_from_these_leads : `threshold ${percent(thresholds[name])}, ${outcome}`;
    return (
      `<div class="bar-row ${kind}" role="img" aria-label="${name}, ${title}: ${percent(probability)}, ${verdict}">` +
      `<div class="bar-name"><b>${name}</b> ${title}</div>${track(probability, isHidden ? NaN : thresholds[name])}` +
      `<div class="bar-value">${percent(probability)} ${isPredicted ? "✓" : ""}</div></div>`
    );
  });
  const hidden = Object.keys(probabilities).filter((name) => not_assessable.includes(name));
  const grey = hidden.length ? ` Grey, without a threshold: ${not_from_these_leads}.` : "";
  const note = "┃ threshold &nbsp; ✓ predicted. Several classes may be present, or none; NORM yields to any other.";
  return `${rows.join("")}<p class="note">${note}${grey}</p>`;
}

/** The rows of the table of statements: of a group (all if empty) in which each word occurs, the asserted first. */
export function statementRowsHtml(statements: Statement[], search: string, group: string): string {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = statements.filter((one) => {
    const facts = [one.code, one.name, one.subclass, one.superclass, one.snomed_ct].join(" ").toLowerCase();
    return (!group || one.groups.includes(group)) && words.every((word) => facts.includes(word));
  });
  found.sort((a, b) => Number(b.asserted) - Number(a.asserted) || b.probability - a.probability);
  return found.map(rowHtml).join("") || '<tr><td colspan="6">No statement matches.</td></tr>';
}

function rowHtml(one: Statement): string {
  const kind = one.asserted ? "yes" : one.validated ? "" : "unvalidated";
  const group = one.groups.join(", ") + (one.superclass && ` · ${one.superclass}`);
  const yes = one.probability >= tables.sentences.likely ? "✓ yes" : "✓ possible";
  const said = one.asserted ? yes : one.validated ? "no" : "not validated";
  return (
    `<tr class="${kind}"><th scope="row">${escape(one.code)}</th><td>${escape(capitalised(one.name))}</td>` +
    `<td><div class="probability">${track(one.probability, one.threshold)}${percent(one.probability)}</div></td>` +
    `<td>${percent(one.threshold)}</td><td>${said}</td><td>${group}</td></tr>`
  );
}
