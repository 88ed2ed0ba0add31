/**
 * From a network's outputs to a diagnosis in words, field by field what the server sends; as `inference/diagnoser.py`.
 *
 * Which classes and statements are asserted is decided inside the ONNX file. Here it only gets its sentences.
 */
import { modelInput, type Network, type Outputs, runNetwork } from "./network";
import { durationOf, leadsOf, type Recording } from "./recording";
import { limits, tables } from "./tables";
import { capitalised } from "./text";

const { doubts, withheld, answers, headline_order, sinus } = tables.sentences;
const CLASSES = Object.keys(tables.superclass_names);
const BESIDE_NORM = CLASSES.filter((name) => name !== "NORM");
const TASKS = ["mi_vs_norm", "norm_vs_abnormal"] as const;
const WITHHELD = [...Object.keys(withheld), "other file"]; // by the number that the network gives

export interface BinaryResult {
  probability: number;
  threshold: number;
  positive: boolean | null;
  uncertain: boolean;
  withheld_because: string;
}

export type StatementResult = (typeof tables.statements)[number] & {
  probability: number;
  threshold: number;
  asserted: boolean;
  validated: boolean;
};

export interface Diagnosis {
  headline: string[];
  probabilities: Record<string, number>;
  thresholds: Record<string, number>;
  predicted_classes: string[];
  mi_vs_norm: BinaryResult;
  norm_vs_abnormal: BinaryResult;
  rhythm: { code: string; certain: boolean; sentence: string };
  statements: StatementResult[];
  uncertain_because: string[];
  not_assessed: string[];
  warnings: string[];
  leads: string[];
  model: string;
  milliseconds: number;
  disclaimer: string;
}

/** network: for these leads. forMI: the network for MI against NORM, where the first leaves that to another. */
export async function diagnose(recording: Recording, network: Network, forMI?: Network): Promise<Diagnosis> {
  const began = performance.now();
  const rows = modelInput(recording);
  const outputs = await runNetwork(network, rows);
  const { facts } = network;
  const asserted = CLASSES.filter((_, k) => outputs.asserted_classes[k]);
  const binary: Record<string, BinaryResult> = {};
  const contradicts: Record<string, boolean> = {};
  for (const [k, task] of TASKS.entries()) {
    let reason = WITHHELD[outputs.withheld[k]];
    let from = { facts, probability: outputs.calibrated[CLASSES.length + tables.statements.length + k], yes: outputs.positive[k], near: outputs.binary_near[k] };
    if (reason === "other file" && forMI) {
      const other = await runNetwork(forMI, rows);
      from = { facts: forMI.facts, probability: other.calibrated[0], yes: other.positive[0], near: other.binary_near[0] };
      reason = Boolean(from.yes) === asserted.includes("MI") ? "" : "contradicts";
    }
    contradicts[task] = reason === "contradicts";
    binary[task] = {
      probability: from.probability,
      threshold: from.facts.thresholds[task],
      positive: reason ? null : Boolean(from.yes),
      uncertain: Boolean(from.near),
      withheld_because: fill(withheld[reason as keyof typeof withheld], { others: named(asserted, ["STTC", "CD", "HYP"]) }),
    };
  }
  const statements = statementResults(outputs, network);
  const rhythm = rhythmOf(outputs);
  return {
    headline: headlineOf(rhythm, statements, asserted),
    probabilities: Object.fromEntries(CLASSES.map((name, k) => [name, outputs.calibrated[k]])),
    thresholds: Object.fromEntries(CLASSES.map((name) => [name, facts.thresholds[name]])),
    predicted_classes: asserted,
    mi_vs_norm: binary.mi_vs_norm,
    norm_vs_abnormal: binary.norm_vs_abnormal,
    rhythm,
    statements,
    uncertain_because: doubtsOf(outputs, asserted, contradicts),
    not_assessed: rhythm.certain ? [] : [`${rhythm.sentence}.`],
    warnings: warningsOf(recording),
    leads: leadsOf(recording),
    model: facts.checkpoint_sha256,
    milliseconds: performance.now() - began,
    disclaimer: tables.sentences.research_only,
  };
}

const fill = (text: string, words: Record<string, string>) => text.replace(/\{(\w+)\}/g, (_, name) => words[name] ?? "");

const named = (asserted: string[], among = CLASSES) => among.filter((name) => asserted.includes(name)).join(", ") || "no class";

function statementResults(outputs: Outputs, { facts }: Network): StatementResult[] {
  return tables.statements.map((statement, k) => ({
    ...statement,
    probability: outputs.calibrated[CLASSES.length + k],
    threshold: facts.thresholds[statement.code],
    asserted: Boolean(outputs.asserted_statements[k]),
    validated: facts.validated[statement.code],
  }));
}

function rhythmOf(outputs: Outputs): Diagnosis["rhythm"] {
  const code = tables.rhythms[outputs.rhythm[0]] ?? "";
  const name = tables.statements.find((one) => one.code === code)?.name ?? "";
  const certain = Boolean(outputs.rhythm_certain[0]);
  return { code, certain, sentence: certain ? capitalised(name) : `Rhythm uncertain${code && ` (possibly ${name})`}` };
}

/** Why the prediction is uncertain, in the order of `inference.verdict.DOUBTS`. */
function doubtsOf(outputs: Outputs, asserted: string[], contradicts: Record<string, boolean>): string[] {
  const found: [keyof typeof doubts, boolean, string?][] = [
    ["near threshold", Boolean(outputs.near[0])],
    ["implied", outputs.implied.some(Boolean)],
    ["normal beside others", Boolean(outputs.normal_beside_others[0])],
    // what contradicts the classes is the opposite of what they say
    ["normal or abnormal", contradicts.norm_vs_abnormal, answers.norm_vs_abnormal[Number(asserted.includes("NORM"))]],
    ["MI or normal", contradicts.mi_vs_norm, answers.mi_vs_norm[Number(!asserted.includes("MI"))]],
  ];
  return found
    .filter(([, there]) => there)
    .map(([name, , answer = ""]) =>
      fill(doubts[name], {
        near: CLASSES[outputs.nearest[0]],
        others: named(asserted, BESIDE_NORM),
        implied: named(CLASSES.filter((_, k) => outputs.implied[k])),
        classes: named(asserted),
        answer,
      }),
    );
}

/** What is said of the recording, a phrase each, rhythm first; as `inference.summary.headline`. */
function headlineOf(rhythm: Diagnosis["rhythm"], statements: StatementResult[], asserted: string[]): string[] {
  const said = statements.filter((one) => one.asserted).sort((a, b) => b.probability - a.probability);
  const names = (these: StatementResult[]) => these.map((one) => capitalised(one.name));
  const phrases = [rhythm.sentence];
  for (const superclass of headline_order) {
    const own = names(said.filter((one) => one.superclass === superclass));
    const whole = tables.superclass_names[superclass as keyof typeof tables.superclass_names];
    phrases.push(...(own.length || !asserted.includes(superclass) ? own : [capitalised(whole)]));
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
