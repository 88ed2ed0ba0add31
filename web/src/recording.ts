/** A recording as the page knows it, and the way there from a file's channels; as `ecg/readers/channels.py`. */
import { LEADS, limits, lookUp, tables } from "./tables";
import { plain, printable } from "./text";

/** A recording that cannot be used; the message says what is wrong and what to do. */
export class RecordingError extends Error {}

/** A sampling rate or unit that neither the file nor the user gives, or both in different ways. */
export class DeclarationError extends RecordingError {}

export function refuse(message: string): never {
  throw new RecordingError(message);
}

/** signal: twelve leads in mV, those not `present` zero. rate: Hz. notes: what the reader had to do. */
export type Recording = { signal: Float32Array[]; rate: number; present: boolean[]; notes: string[] };

/** What a file holds: one entry a channel, values in the channel's unit, NaN where a sample is missing. */
export type Channels = Named & { values: ArrayLike<number>[]; rate: number; notes?: string[] };
type Named = { names: string[]; units: string[] };

/** What the user says of a file that does not say it itself. */
export type Given = { rate?: number; unit?: string };

const LEAD_PREFIX = new RegExp(tables.lead_prefix);
const NEGATED = new RegExp(tables.negated);

export const durationOf = (recording: Recording): number => recording.signal[0].length / recording.rate;
export const leadsOf = (recording: Recording): string[] => LEADS.filter((_, row) => recording.present[row]);

/** The standard name of a lead, or undefined if the label is none of the twelve. */
export function leadName(label: string): string | undefined {
  const name = label.trim().toLowerCase().replace(/\(einthoven\)$/, "").trim();
  return NEGATED.test(name) ? undefined : lookUp<string>(tables.lead_names, name.replace(LEAD_PREFIX, ""));
}

/** How many mV one of a unit is, undefined for what is no voltage, such as bare ADC counts. */
export function millivolts(unit: string): number | undefined {
  const name = unit.trim().toLowerCase().replace(/[\u00b5\u03bc]/g, "u");
  return lookUp<number>(tables.millivolts, lookUp<string>(tables.unit_names, name.replace(/s$/, "")) ?? name);
}

/** What the file declares or else the user gives; both only if they agree. */
export function declaredOrGiven<T extends number | string>(what: string, declared: T | undefined, given?: T): T {
  const comparable = (value: T) => (typeof value === "string" ? millivolts(value) : value);
  const used = declared ?? given;
  if (used === undefined) throw new DeclarationError(`the ${what} is not in the file`);
  if (given !== undefined && comparable(used) !== comparable(given)) {
    throw new DeclarationError(`the ${what} is ${printable(used)} in the file and ${given} by request`);
  }
  return used;
}

/** Which channel is which lead, and a note on the channels that are none; unnamed ones are passed over. */
export function leadChannels(names: string[], hint = ""): { chosen: Map<string, number>; notes: string[] } {
  const chosen = new Map<string, number>();
  for (const [index, name] of names.entries()) {
    const lead = leadName(name);
    if (lead && chosen.has(lead)) refuse(`lead ${lead} is there twice; leave one of them`);
    if (lead) chosen.set(lead, index);
  }
  const others = names.filter((name) => name && !leadName(name)).slice(0, limits.maximum_signals);
  const found = others.map((name) => printable(name)).join(", ");
  if (!chosen.size) {
    refuse(`no channel is named like one of the leads ${LEADS.join(", ")}; found ${found || "nothing"}${hint}`);
  }
  return { chosen, notes: found ? [`ignored channels that are none of the 12 leads: ${found}`] : [] };
}

/** Refuses what is too many, too long or sampled at an absurd rate. */
export function checkExtent(signals: number, samples: number, rate: number): void {
  const { maximum_signals, maximum_duration_s, maximum_values, minimum_rate, maximum_rate } = limits;
  if (signals > maximum_signals) refuse(`${signals} signals; at most ${maximum_signals} are read`);
  if (!(samples >= 1)) refuse("there are no samples");
  if (!(rate >= minimum_rate && rate <= maximum_rate)) {
    refuse(`a sampling rate of ${plain(rate)} Hz; ${minimum_rate} to ${maximum_rate} Hz are read`);
  }
  if (samples > maximum_duration_s * rate || signals * samples > maximum_values) {
    const size = `${signals} signals of ${(samples / rate).toFixed(0)} s at ${plain(rate)} Hz are too much`;
    refuse(`${size}; at most ${maximum_duration_s} s and ${maximum_values} samples are read: cut out what matters`);
  }
}

/** The twelve leads out of a file's channels: in order, in mV, gaps filled, limb leads derived. */
export function assemble(channels: Channels): Recording {
  const { chosen, notes } = leadChannels(channels.names);
  const lengths = new Set([...chosen.values()].map((index) => channels.values[index].length));
  if (lengths.size > 1) refuse("the leads have different numbers of samples");
  const [length] = lengths;
  checkExtent(channels.names.length, length, channels.rate);
  const recording: Recording = {
    signal: LEADS.map(() => new Float32Array(length)),
    rate: channels.rate,
    present: LEADS.map((lead) => chosen.has(lead)),
    notes: [...(channels.notes ?? []), ...notes],
  };
  for (const [lead, index] of chosen) {
    const [unit, values] = [channels.units[index], channels.values[index]];
    const factor = millivolts(unit);
    if (!factor) refuse(`the unit “${printable(unit)}” is no voltage; uV, mV, V and nV are understood`);
    const row = recording.signal[LEADS.indexOf(lead)];
    for (let i = 0; i < length; i++) {
      row[i] = values[i] * factor;
      if (Math.abs(row[i]) > limits.maximum_amplitude_mv && Number.isFinite(values[i])) {
        refuse(`lead ${lead} has amplitudes beyond ${limits.maximum_amplitude_mv} mV, no ECG; check the units`);
      }
    }
  }
  recording.notes.push(...fillGaps(recording), ...deriveLimbLeads(recording));
  return recording;
}

/** Interpolates short gaps in place; a lead without any sample counts as missing. */
function fillGaps({ signal, present, rate }: Recording): string[] {
  const filled = new Set<string>();
  let [count, longest] = [0, 0];
  for (const [number, row] of signal.entries()) {
    if (row.every(Number.isFinite)) continue;
    const known = [...row.keys()].filter((i) => Number.isFinite(row[i]));
    present[number] = known.length > 0;
    if (!known.length) row.fill(0);
    const edges = known.length ? [-1, ...known, row.length] : [];
    for (const [k, after] of edges.entries()) {
      const before = k ? edges[k - 1] : after - 1;
      const gap = (after - before - 1) / rate;
      if (!gap) continue;
      if (gap > limits.maximum_gap_s) {
        const where = `${gap.toFixed(2)} s from ${((before + 1) / rate).toFixed(2)} s on`;
        refuse(`lead ${LEADS[number]} has no samples for ${where}; up to ${limits.maximum_gap_s} s are interpolated`);
      }
      const [left, right] = [row[before < 0 ? after : before], row[after < row.length ? after : before]];
      for (let i = before + 1; i < after; i++) row[i] = left + ((right - left) * (i - before)) / (after - before);
      [count, longest] = [count + 1, Math.max(longest, gap)];
      filled.add(LEADS[number]);
    }
  }
  if (!present.some(Boolean)) refuse("no lead has any samples");
  const gaps = `${count} gap(s) of up to ${(longest * 1000).toFixed(0)} ms interpolated`;
  return count ? [`${filled.size > 1 ? "leads" : "lead"} ${[...filled].join(", ")}: ${gaps}`] : [];
}

/** Fills in, in place, the limb leads that two of I, II and III determine exactly. */
function deriveLimbLeads({ signal, present }: Recording): string[] {
  const missing = [0, 1, 2, 3, 4, 5].filter((row) => !present[row]);
  const sources = [0, 1, 2].filter((row) => present[row]).slice(0, 2);
  if (!missing.length || sources.length < 2) return [];
  const [one, two, three] = signal;
  const first = present[0] ? one : one.map((_, i) => two[i] - three[i]);
  const second = present[1] ? two : two.map((_, i) => one[i] + three[i]);
  for (const row of missing) {
    const [ofFirst, ofSecond] = tables.limb_from_i_ii[row];
    signal[row] = first.map((value, i) => ofFirst * value + ofSecond * second[i]);
    present[row] = true;
  }
  const names = (rows: number[], between: string) => rows.map((row) => LEADS[row]).join(between);
  return [`derived from ${names(sources, " and ")}: ${names(missing, ", ")}`];
}
