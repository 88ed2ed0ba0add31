/**
 * From a network's outputs to a diagnosis in words, field by field what the server sends; as `inference/diagnoser.py`.
 * Which classes and statements are asserted is decided inside the ONNX file. Here it only gets its sentences.
 */
import { type Choice, chooseLeadSet, decide, factsWith } from "./lead_sets";
import { type Facts, modelInput, type Network, type Outputs, runNetwork } from "./network";
import { durationOf, leadsOf, type Recording } from "./recording";
import { LEADS, limits, lookUp, tables } from "./tables";
import { capitalised } from "./text";

const { doubts, withheld, answers, headline_order, sinus, likely, research_only } = tables.sentences;
const { no_calibration, not_from_these_leads, quality_not_assessed, task_names } = tables.sentences;
const CLASSES = Object.keys(tables.superclass_names);
const TASKS = ["mi_vs_norm", "norm_vs_abnormal"] as const;

export type BinaryResult = Threshold & { positive: boolean | null; uncertain: boolean; withheld_because: string };
export type Statement = (typeof tables.statements)[number] & Threshold & { asserted: boolean; validated: boolean };
type Threshold = { probability: number; threshold: number };
type Classes = Record<string, number>; // superclass to its probability

/** The server's fields, but for quality and intervals; leads, milliseconds: which were used, and how long it took. */
export type Diagnosis = Awaited<ReturnType<typeof diagnose>>;

/** network: for these leads. forMI: the network for MI against NORM, where the first leaves that to another file. */
export async function diagnose(recording: Recording, network: Network, forMI?: Network) {
  const began = performance.now();
  const rows = modelInput(recording);
  const leads = leadsOf(recording);
  const raw = await runNetwork(network, rows);
  const choice = network.leadSets && chooseLeadSet(leads, network.leadSets);
  const outputs = choice ? decide(raw.probabilities, choice.set, TASKS, network.facts.withheld) : raw;
  const facts = choice ? factsWith(network.facts, choice.set) : network.facts;
  const asserted = assertedOf(outputs);
  const { results, reasons } = await binaryResults(rows, facts, outputs, choice, forMI);
  const statements = statementsOf(outputs, facts);
  const rhythm = rhythmOf(statements, facts.rhythms[outputs.rhythm[0]], Boolean(outputs.rhythm_certain[0]));
  const probabilities = Object.fromEntries(CLASSES.map((name, k) => [name, outputs.calibrated[k]]));
  const found = findings(statements, probabilities, asserted);
  const isBlind = CLASSES.every((name) => choice?.notAssessable.includes(name));
  const blind = [rhythm.sentence, `No diagnosis can be told from ${leadsPhrase(leads)}`];
  const openRhythm = rhythm.certain ? [] : [`${rhythm.sentence}.`];
  return {
    headline: isBlind ? blind : headlineOf(rhythm, found, probabilities, asserted, limitedTo(leads, choice)),
    probabilities,
    thresholds: Object.fromEntries(CLASSES.map((name, k) => [name, facts.decisions.multilabel.thresholds[k]])),
    predicted_classes: asserted,
    mi_vs_norm: results[0],
    norm_vs_abnormal: results[1],
    rhythm,
    statements,
    uncertain_because: [...doubtsOf(outputs, asserted, reasons), ...(choice && !choice.name ? [no_calibration] : [])],
    not_assessed: [...notAssessable(leads, choice), ...openRhythm, quality_not_assessed],
    warnings: [...(choice ? [leadsSentence(leads, choice)] : []), ...warningsOf(recording)],
    leads,
    not_assessable: choice?.notAssessable ?? [],
    model: facts.checkpoint_sha256,
    milliseconds: performance.now() - began,
    disclaimer: research_only,
  };
}

/** Both binary results, and why each is withheld by its key in the table of sentences. */
async function binaryResults(rows: Float32Array[], facts: Facts, outputs: Outputs, choice?: Choice, forMI?: Network) {
  const asserted = assertedOf(outputs);
  const reasons = outputs.withheld.map((code) => facts.withheld[code]);
  const found = TASKS.map((task, k) => ({
    facts: [facts, forMI?.facts].find((one) => one?.decisions[task]),
    probability: outputs.calibrated[outputs.calibrated.length - TASKS.length + k],
    positive: Boolean(outputs.positive[k]),
    near: Boolean(outputs.binary_near[k]),
  }));
  if (reasons[0] === "other file" && forMI) {
    const { calibrated, positive, binary_near } = await runNetwork(forMI, rows);
    const [probability, yes, near] = [calibrated[0], Boolean(positive[0]), Boolean(binary_near[0])];
    found[0] = { facts: forMI.facts, probability, positive: yes, near };
    reasons[0] = yes === asserted.includes("MI") ? "" : "contradicts";
  }
  const others = listed(asserted, ["STTC", "CD", "HYP"]);
  const unavailable = choice ? not_from_these_leads : "this build lacks the network for it";
  const results: BinaryResult[] = found.map(({ facts: own, probability, positive, near }, k) => ({
    probability,
    threshold: own?.decisions[TASKS[k]].thresholds[0] ?? NaN,
    positive: reasons[k] ? null : positive,
    uncertain: near,
    withheld_because: fill(lookUp<string>(withheld, reasons[k]) ?? unavailable, { others }),
  }));
  return { results, reasons };
}

const assertedOf = (outputs: Outputs) => CLASSES.filter((_, k) => outputs.asserted_classes[k]);

const fill = (text: string, words: Record<string, string>) => text.replace(/\{(\w+)\}/g, (_, name) => words[name]);

const listed = (asserted: string[], among = CLASSES) =>
  among.filter((name) => asserted.includes(name)).join(", ") || "no class";

function statementsOf(outputs: Outputs, facts: Facts): Statement[] {
  const { names, thresholds, validated } = facts.decisions.multilabel.statements;
  return tables.statements.map((statement) => {
    const k = names.indexOf(statement.code);
    const probability = outputs.calibrated[CLASSES.length + k];
    const asserted = Boolean(outputs.asserted_statements[k]);
    return { ...statement, probability, threshold: thresholds[k], asserted, validated: validated[k] };
  });
}

type Rhythm = ReturnType<typeof rhythmOf>;

function rhythmOf(statements: Statement[], code: string | undefined, certain: boolean) {
  const named = statements.find((one) => one.code === code);
  if (named && certain) return { code: named.code, certain, sentence: phrase(named.name, named.probability) };
  if (named) return { code: named.code, certain, sentence: `Rhythm uncertain (possibly ${named.name})` };
  const isAssessed = statements.some((one) => tables.rhythms.includes(one.code) && one.validated);
  return { code: "", certain, sentence: isAssessed ? "Rhythm uncertain" : "Rhythm not assessed" };
}

/** Why the prediction is uncertain. reasons: why each binary result is withheld. */
function doubtsOf(outputs: Outputs, asserted: string[], reasons: string[]): string[] {
  const words = {
    near: CLASSES[outputs.nearest[0]],
    others: listed(asserted, CLASSES.slice(1)),
    implied: listed(CLASSES.filter((_, k) => outputs.implied[k])),
    classes: listed(asserted),
  };
  // an answer that contradicts the classes is the opposite of what they say
  const abnormal = answers.norm_vs_abnormal[Number(asserted.includes("NORM"))];
  const mi = answers.mi_vs_norm[Number(!asserted.includes("MI"))];
  const found: [boolean, string][] = [
    [Boolean(outputs.near[0]), fill(doubts["near threshold"], words)],
    [outputs.implied.some(Boolean), fill(doubts.implied, words)],
    [Boolean(outputs.normal_beside_others[0]), fill(doubts["normal beside others"], words)],
    [reasons[1] === "contradicts", fill(doubts["normal or abnormal"], { ...words, answer: abnormal })],
    [reasons[0] === "contradicts", fill(doubts["MI or normal"], { ...words, answer: mi })],
  ];
  return found.flatMap(([there, sentence]) => (there ? [sentence] : []));
}

/** A finding as a phrase of the headline. */
const phrase = (name: string, probability: number) => (probability >= likely ? capitalised(name) : `Possible ${name}`);

/** A phrase each: rhythm, likely findings, possible ones, whether it is normal; as `inference.summary.headline`. */
function headlineOf(rhythm: Rhythm, found: [string, number][], classes: Classes, asserted: string[], limit: string) {
  const [sure, possible] = [true, false].map((wanted) => found.filter(([, p]) => p >= likely === wanted));
  const phrases = [rhythm.sentence, ...[...sure, ...possible].map((one) => phrase(...one))];
  if (asserted.includes("NORM")) {
    const alone = !found.length && sinus.includes(rhythm.code) && rhythm.certain;
    const normal = `${alone ? "normal ECG" : "otherwise normal ECG"}${limit}`;
    phrases.push(capitalised(classes.NORM >= likely ? normal : `possibly ${normal}`));
  }
  return asserted.length ? phrases : [...phrases, "No diagnostic class asserted"];
}

/** What is asserted beside the rhythm and NORM: diagnoses, forms, other rhythms; as `inference.summary.findings`. */
function findings(statements: Statement[], classes: Classes, asserted: string[]): [string, number][] {
  const said = statements.filter((one) => one.asserted).sort((a, b) => b.probability - a.probability);
  const those = (wanted: (one: Statement) => boolean) =>
    said.filter(wanted).map(({ name, probability }): [string, number] => [name, probability]);
  const diagnoses = headline_order.flatMap((superclass) => {
    const own = those((one) => one.superclass === superclass);
    const isUnsure = !own.length || (own[0][1] < likely && likely <= classes[superclass]);
    if (!asserted.includes(superclass) || !isUnsure) return own;
    return [[lookUp<string>(tables.superclass_names, superclass)!, classes[superclass]] as [string, number], ...own];
  });
  const isOtherRhythm = (one: Statement) => one.groups.includes("rhythm") && !tables.rhythms.includes(one.code);
  return [...diagnoses, ...those((one) => one.groups.join() === "form"), ...those(isOtherRhythm)];
}

/** The leads as they stand in a sentence. */
function leadsPhrase(leads: string[]): string {
  if (leads.length === LEADS.length) return "all twelve leads";
  if (LEADS.slice(0, 6).every((lead) => leads.includes(lead))) return ["the limb leads", ...leads.slice(6)].join(", ");
  return `${leads.length === 1 ? "lead" : "leads"} ${leads.join(", ")}`;
}

/** What the headline's normal is limited to, if the leads do not show every superclass. */
function limitedTo(leads: string[], choice?: Choice): string {
  const isLimited = choice?.notAssessable.some((name) => CLASSES.includes(name));
  return isLimited ? ` as far as can be told from ${leadsPhrase(leads)}` : "";
}

function notAssessable(leads: string[], choice?: Choice): string[] {
  const names = choice?.notAssessable ?? [];
  const classes = names.filter((name) => CLASSES.includes(name));
  const tasks = names.flatMap((name) => lookUp<string>(task_names, name) ?? []);
  const count = names.length - classes.length - tasks.length;
  const all = [...classes, ...tasks, ...(count ? [`${count} statement${count === 1 ? "" : "s"}`] : [])];
  return all.length ? [`Not assessable from ${leadsPhrase(leads)}: ${all.join(", ")}.`] : [];
}

/** By which network and whose thresholds a recording with missing leads was read. */
function leadsSentence(leads: string[], { name, exact }: Choice): string {
  const read = `Read from ${leadsPhrase(leads)} by the network for missing leads`;
  const bare = "which has no calibration for them: the probabilities are as they come, nothing is asserted";
  if (!name) return `${read}, ${bare}.`;
  if (exact) return `${read}, with the thresholds for this set of leads.`;
  const set = name === "11" ? "eleven leads" : leadsPhrase(lookUp<string[]>(tables.lead_sets, name)!);
  return `${read}, with the thresholds for ${set}, the largest set among them that has its own.`;
}

function warningsOf(recording: Recording): string[] {
  const duration = durationOf(recording);
  if (duration >= limits.full_duration_s - 0.05) return recording.notes;
  const evaluated = `the networks were evaluated on ${limits.full_duration_s} s`;
  return [...recording.notes, `The recording lasts ${duration.toFixed(1)} s; ${evaluated}.`];
}
