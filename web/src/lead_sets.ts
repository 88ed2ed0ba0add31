/**
 * Decisions of the network for missing leads, whose file gives probabilities alone because its thresholds depend on
 * the leads: the rule of docs/verdict.md as in `inference/lead_sets.py`, `findings.py` and `verdict.py`.
 */
import type { Facts, Outputs } from "./network";
import { tables } from "./tables";

const CLASSES = Object.keys(tables.superclass_names);
const SETS: Record<string, string[]> = tables.lead_sets;

type Calibrator = { kind: string; a: number; b: number; c: number; x: number[]; y: number[] };
type Finding = { threshold: number; validated: boolean; calibrator: Calibrator };
type Named<T> = Record<string, T>;
type Fit = { thresholds: Named<number>; calibrators: Named<Calibrator>; margin: number; statements: Named<Finding> };

/** One canonical set of anylead_thresholds.json: decisions by task, and the classes and tasks it does not show. */
export type LeadSet = { auroc: { value: number | null }; not_assessable: string[]; decisions: Named<Fit> };
export type LeadSets = Named<LeadSet>;

/** Whose decisions were used ("" if there are none for these leads), and what the leads do not show. */
export type Choice = { name: string; set: LeadSet; exact: boolean; notAssessable: string[] };

/** The largest canonical set among the leads, of equally large ones the better. */
export function chooseLeadSet(leads: string[], sets: LeadSets): Choice {
  const includes = (names: string[]) => names.every((lead) => leads.includes(lead));
  const isIn = (name: string) => (name === "11" ? leads.length >= 11 && includes(SETS.limb) : includes(SETS[name]));
  const rank = (name: string) => SETS[name].length + (sets[name].auroc.value ?? 0) / 2;
  const [name = ""] = Object.keys(sets).filter(isIn).sort((a, b) => rank(b) - rank(a));
  const set = sets[name] ?? withoutCalibration(sets["12"]);
  const isLost = ([code, { validated }]: [string, Finding]) =>
    validated && !set.decisions.multilabel.statements[code].validated && !CLASSES.includes(code);
  const lost = Object.entries(sets["12"].decisions.multilabel.statements).filter(isLost).map(([code]) => code);
  return { name, set, exact: SETS[name]?.length === leads.length, notAssessable: [...set.not_assessable, ...lost] };
}

/** For leads that contain no canonical set: probabilities stay as they are, nothing is decided. */
function withoutCalibration({ decisions }: LeadSet): LeadSet {
  const calibrator = { kind: "identity", a: 1, b: 1, c: 0, x: [], y: [] };
  const all = <T>(names: object, value: T) => Object.fromEntries(Object.keys(names).map((name) => [name, value]));
  const undecided = ({ thresholds, statements }: Fit) => ({
    thresholds: all(thresholds, 0.5),
    calibrators: all(thresholds, calibrator),
    margin: 0,
    statements: all(statements ?? {}, { threshold: 0.5, validated: false, calibrator }),
  });
  const tasks = Object.entries(decisions).map(([task, one]) => [task, undecided(one)]);
  const everything = [...CLASSES, ...Object.keys(decisions).slice(1)];
  return { auroc: { value: null }, not_assessable: everything, decisions: Object.fromEntries(tasks) };
}

const clipped = (p: number) => Math.min(Math.max(p, 1e-6), 1 - 1e-6);
const logOdds = (p: number) => Math.log(clipped(p)) - Math.log1p(-clipped(p));

function calibrate({ kind, a, b, c, x, y }: Calibrator, p: number): number {
  const logit = a * Math.log(clipped(p)) - b * Math.log1p(-clipped(p)) + c;
  if (kind !== "isotonic") return 0.5 * (1 + Math.tanh(0.5 * logit));
  const k = x.findIndex((at) => at > p);
  if (k <= 0) return k ? y[y.length - 1] : y[0];
  return y[k - 1] + ((y[k] - y[k - 1]) * (p - x[k - 1])) / (x[k] - x[k - 1]);
}

/** A network's facts with the thresholds of these decisions. */
export function factsWith(facts: Facts, { decisions }: LeadSet): Facts {
  const found = Object.values(decisions.multilabel.statements);
  const [thresholds, validated] = [found.map((one) => one.threshold), found.map((one) => one.validated)];
  const statements = { names: Object.keys(decisions.multilabel.statements), thresholds, validated };
  const of = (fit: Fit) => ({ thresholds: Object.values(fit.thresholds), statements });
  const tasks = Object.entries(decisions).map(([task, fit]) => [task, of(fit)]);
  return { ...facts, decisions: Object.fromEntries(tasks) };
}

/** The outputs that a file with decisions inside has. probabilities: superclasses, statements, binary tasks. */
export function decide(probabilities: number[], set: LeadSet, tasks: readonly string[], reasons: string[]): Outputs {
  const { multilabel } = set.decisions;
  const codes = Object.keys(multilabel.statements);
  const own = CLASSES.map((name, k) => calibrate(multilabel.calibrators[name], probabilities[k]));
  const isAssessable = CLASSES.map((name) => !set.not_assessable.includes(name));
  const distance = (p: number, threshold: number) => Math.abs(logOdds(p) - logOdds(threshold));
  const distances = own.map((p, k) => (isAssessable[k] ? distance(p, multilabel.thresholds[CLASSES[k]]) : Infinity));
  const found = codes.map((code, k) => {
    const { threshold, validated, calibrator } = multilabel.statements[code];
    const probability = calibrate(calibrator, probabilities[CLASSES.length + k]);
    const { superclass } = tables.statements.find((one) => one.code === code)!;
    return { code, probability, validated, superclass, above: probability >= threshold };
  });
  const rhythms = tables.rhythms.map((code) => found[codes.indexOf(code)]);
  const isRhythmAssessed = rhythms.some((one) => one.validated);
  const [named] = rhythms.filter((one) => one.above && isRhythmAssessed).sort((a, b) => b.probability - a.probability);
  const isSaid = (one: (typeof found)[number]) =>
    one.validated && one.above && (one === named || !tables.rhythms.includes(one.code));
  const implied = CLASSES.map((name) => name !== "NORM" && found.some((one) => one.superclass === name && isSaid(one)));
  const above = own.map((p, k) => isAssessable[k] && p >= multilabel.thresholds[CLASSES[k]]);
  const several = (above[0] || implied[0]) && CLASSES.some((_, k) => k > 0 && (above[k] || implied[k]));
  const classes = CLASSES.map((_, k) => (above[k] || implied[k]) && !(k === 0 && several));
  const has = (name: string) => classes[CLASSES.indexOf(name)];
  const binary = tasks.map((task, k) => {
    const { thresholds, calibrators, margin } = set.decisions[task];
    const [name] = Object.keys(thresholds);
    const p = calibrate(calibrators[name], probabilities[CLASSES.length + codes.length + k]);
    const positive = p >= thresholds[name];
    const isOutside = ["STTC", "CD", "HYP"].some(has);
    const applies = task !== "mi_vs_norm" || ((has("NORM") || has("MI")) && !isOutside);
    const contradicts = task === "mi_vs_norm" ? positive !== has("MI") : positive === has("NORM");
    const reason = !applies ? (isOutside ? "outside" : "neither") : contradicts ? "contradicts" : "";
    const withheld = reasons.indexOf(set.not_assessable.includes(task) ? "other file" : reason);
    return { p, positive, near: distance(p, thresholds[name]) < margin, withheld };
  });
  return {
    calibrated: [...own, ...found.map((one) => one.probability), ...binary.map((one) => one.p)],
    asserted_classes: classes.map(Number),
    asserted_statements: found.map((one) => Number(isSaid(one) && (!one.superclass || has(one.superclass)))),
    rhythm: [named ? tables.rhythms.indexOf(named.code) : -1],
    rhythm_certain: [Number(Boolean(named?.validated))],
    near: [Number(Math.min(...distances) < multilabel.margin)],
    nearest: [distances.indexOf(Math.min(...distances))],
    implied: implied.map((yes, k) => Number(yes && !above[k])),
    normal_beside_others: [Number(several)],
    positive: binary.map((one) => Number(one.positive)),
    withheld: binary.map((one) => one.withheld),
    binary_near: binary.map((one) => Number(one.near)),
  };
}
