/**
 * From a network's outputs to a diagnosis in words, field by field what the server sends; as `inference/diagnoser.py`.
 * Which classes and statements are asserted is decided inside the ONNX file. Here it only gets its sentences.
 */
import { modelInput, type Network, type Outputs, runNetwork } from "./network";
import { durationOf, leadsOf, type Recording } from "./recording";
import { limits, lookUp, tables } from "./tables";
import { capitalised } from "./text";

const { doubts, withheld, answers, headline_order, sinus, research_only } = tables.sentences;
const CLASSES = Object.keys(tables.superclass_names);
const OTHER_FILE = "other file"; // answers this task
const TASKS = ["mi_vs_norm", "norm_vs_abnormal"] as const;

export interface BinaryResult {
  probability: number;
  threshold?: number;
  positive: boolean | null;
  uncertain: boolean;
  withheld_because: string;
}

export type Statement = (typeof tables.statements)[number] & {
  probability: number;
  threshold: number;
  asserted: boolean;
  validated: boolean;
};

/** The server's fields, but for quality and intervals; leads, milliseconds: which were used, and how long it took. */
export type Diagnosis = Awaited<ReturnType<typeof diagnose>>;

/** network: for these leads. forMI: the network for MI against NORM, where the first leaves that to another file. */
export async function diagnose(recording: Recording, network: Network, forMI?: Network) {
  const began = performance.now();
  const rows = modelInput(recording);
  const outputs = await runNetwork(network, rows);
  const { decisions, rhythms, checkpoint_sha256 } = network.facts;
  const asserted = CLASSES.filter((_, k) => outputs.asserted_classes[k]);
  const { results, reasons } = await binaryResults(rows, network, outputs, asserted, forMI);
  const statements = statementsOf(outputs, network);
  const rhythm = rhythmOf(rhythms[outputs.rhythm[0]] ?? "", Boolean(outputs.rhythm_certain[0]));
  return {
    headline: headlineOf(rhythm, statements, asserted),
    probabilities: Object.fromEntries(CLASSES.map((name, k) => [name, outputs.calibrated[k]])),
    thresholds: Object.fromEntries(CLASSES.map((name, k) => [name, decisions.multilabel.thresholds[k]])),
    predicted_classes: asserted,
    mi_vs_norm: results[0],
    norm_vs_abnormal: results[1],
    rhythm,
    statements,
    uncertain_because: doubtsOf(outputs, asserted, reasons),
    not_assessed: rhythm.certain ? [] : [`${rhythm.sentence}.`],
    warnings: warningsOf(recording),
    leads: leadsOf(recording),
    model: checkpoint_sha256,
    milliseconds: performance.now() - began,
    disclaimer: research_only,
  };
}

/** Both binary results, and why each is withheld by its key in the table of sentences. */
async function binaryResults(
  rows: Float32Array[],
  network: Network,
  outputs: Outputs,
  asserted: string[],
  forMI?: Network,
): Promise<{ results: BinaryResult[]; reasons: string[] }> {
  const reasons = outputs.withheld.map((code) => network.facts.withheld[code]);
  const found = TASKS.map((task, k) => ({
    facts: [network, forMI].find((one) => one?.facts.decisions[task])?.facts,
    probability: outputs.calibrated[outputs.calibrated.length - TASKS.length + k],
    positive: Boolean(outputs.positive[k]),
    near: Boolean(outputs.binary_near[k]),
  }));
  if (reasons[0] === OTHER_FILE && forMI) {
    const { calibrated, positive, binary_near } = await runNetwork(forMI, rows);
    const [probability, yes, near] = [calibrated[0], Boolean(positive[0]), Boolean(binary_near[0])];
    found[0] = { facts: forMI.facts, probability, positive: yes, near };
    reasons[0] = yes === asserted.includes("MI") ? "" : "contradicts";
  }
  const others = named(asserted, ["STTC", "CD", "HYP"]);
  const results = found.map(({ facts, probability, positive, near }, k) => ({
    probability,
    threshold: facts?.decisions[TASKS[k]].thresholds[0],
    positive: reasons[k] ? null : positive,
    uncertain: near,
    withheld_because: fill(lookUp<string>(withheld, reasons[k]) ?? "this build lacks the network for it", { others }),
  }));
  return { results, reasons };
}

const fill = (text: string, words: Record<string, string>) => text.replace(/\{(\w+)\}/g, (_, name) => words[name] ?? "");

const named = (asserted: string[], among = CLASSES) =>
  among.filter((name) => asserted.includes(name)).join(", ") || "no class";

function statementsOf(outputs: Outputs, { facts }: Network): Statement[] {
  const { names, thresholds, validated } = facts.decisions.multilabel.statements;
  return tables.statements.map((statement) => {
    const k = names.indexOf(statement.code);
    const probability = outputs.calibrated[CLASSES.length + k];
    const asserted = Boolean(outputs.asserted_statements[k]);
    return { ...statement, probability, threshold: thresholds[k], asserted, validated: validated[k] };
  });
}

function rhythmOf(code: string, certain: boolean) {
  const name = tables.statements.find((one) => one.code === code)?.name ?? "";
  const sentence = certain ? capitalised(name) : `Rhythm uncertain${code && ` (possibly ${name})`}`;
  return { code, certain, sentence };
}

/** Why the prediction is uncertain. reasons: why each binary result is withheld. */
function doubtsOf(outputs: Outputs, asserted: string[], reasons: string[]): string[] {
  const words = {
    near: CLASSES[outputs.nearest[0]],
    others: named(asserted, CLASSES.slice(1)),
    implied: named(CLASSES.filter((_, k) => outputs.implied[k])),
    classes: named(asserted),
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

/** What is said of the recording, a phrase each, rhythm first; as `inference.summary.headline`. */
function headlineOf(rhythm: ReturnType<typeof rhythmOf>, statements: Statement[], asserted: string[]): string[] {
  const said = statements.filter((one) => one.asserted).sort((a, b) => b.probability - a.probability);
  const names = (these: Statement[]) => these.map((one) => capitalised(one.name));
  const phrases = [rhythm.sentence];
  for (const superclass of headline_order) {
    const own = names(said.filter((one) => one.superclass === superclass));
    const whole = capitalised(lookUp<string>(tables.superclass_names, superclass)!);
    phrases.push(...(own.length || !asserted.includes(superclass) ? own : [whole]));
  }
  phrases.push(...names(said.filter((one) => one.groups.join() === "form")));
  phrases.push(...names(said.filter((one) => one.groups.includes("rhythm") && !tables.rhythms.includes(one.code))));
  if (asserted.includes("NORM")) {
    const alone = phrases.length === 1 && sinus.includes(rhythm.code) && rhythm.certain;
    phrases.push(alone ? "Normal ECG" : "Otherwise normal ECG");
  }
  return asserted.length ? phrases : [...phrases, "No diagnostic class asserted"];
}

function warningsOf(recording: Recording): string[] {
  const duration = durationOf(recording);
  const short = `The recording lasts ${duration.toFixed(1)} s; the networks were evaluated on ${limits.full_duration_s} s.`;
  return duration < limits.full_duration_s - 0.05 ? [...recording.notes, short] : recording.notes;
}
