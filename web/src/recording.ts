/** A recording in the one form that the page knows, and the way there from a file's channels; as `ecg/readers/channels.py`. */
import { LEADS, limits, lookUp, tables } from "./tables";

/** A recording that cannot be used; the message says what is wrong and what to do. */
export class RecordingError extends Error {}

/** A sampling rate or unit that neither the file nor the user gives, or both in different ways. */
export class DeclarationError extends RecordingError {}

/** signal: twelve leads in mV, those not `present` zero. rate: Hz. notes: what the reader had to do. */
export interface Recording {
  signal: Float32Array[];
  rate: number;
  present: boolean[];
  notes: string[];
}

/** What a file holds: one entry a channel, values in the channel's unit, NaN where a sample is missing. */
export interface Channels {
  names: string[];
  values: ArrayLike<number>[];
  units: string[];
  rate: number;
  notes?: string[];
}

/** What the user says of a file that does not say it itself. */
export interface Given {
  rate?: number;
  unit?: string;
}

const LEAD_PREFIX = new RegExp(tables.lead_prefix);
const NEGATED = new RegExp(tables.negated);

export const samplesOf = (recording: Recording): number => recording.signal[0].length;
export const durationOf = (recording: Recording): number => samplesOf(recording) / recording.rate;
export const leadsOf = (recording: Recording): string[] => LEADS.filter((_, row) => recording.present[row]);

/** A number as Python's format `g` writes it. */
export const plain = (value: number): string => String(Number(value.toPrecision(6)));

/** Text from a file as it may stand in a message: printable and short. */
export function printable(text: unknown, limit = 60): string {
  const shown = String(text).slice(0, limit + 1).replace(/[^\P{C}]|[\u2028\u2029]/gu, "?");
  return shown.length <= limit ? shown : `${shown.slice(0, limit - 3)}...`;
}

/** The standard name of a lead, or undefined if the label is none of the twelve. */
export function leadName(label: string): string | undefined {
  const name = label.trim().toLowerCase().replace(/\(einthoven\)$/, "").trim();
  return NEGATED.test(name) ? undefined : lookUp<string>(tables.lead_names, name.replace(LEAD_PREFIX, ""));
}

/** How many mV one of a unit is; refuses anything that is not a voltage, such as bare ADC counts. */
export function millivolts(unit: string): number {
  const name = unit.trim().toLowerCase().replace(/[\u00b5\u03bc]/g, "u");
  const short = lookUp<string>(tables.unit_names, name.replace(/s$/, "")) ?? name;
  const factor = lookUp<number>(tables.millivolts, short);
  if (factor === undefined) {
    throw new RecordingError(`the unit “${printable(unit)}” is no voltage; uV, mV, V and nV are understood`);
  }
  return factor;
}

/** What the file declares or else the user gives; both only if they agree. */
export function declaredOrGiven<T extends number | string>(what: string, declared: T | undefined, given: T | undefined): T {
  const comparable = (value: T) => (typeof value === "string" ? millivolts(value) : value);
  if (declared === undefined && given === undefined) throw new DeclarationError(`the ${what} is not in the file`);
  if (declared === undefined) return given as T;
  if (given !== undefined && comparable(declared) !== comparable(given)) {
    throw new DeclarationError(`the ${what} is ${printable(declared)} in the file and ${printable(given)} by request`);
  }
  return declared;
}

/** Which channel is which lead, and a note on the channels that are none; unnamed ones are passed over. */
export function leadChannels(names: string[], hint = ""): { chosen: Map<string, number>; notes: string[] } {
  const chosen = new Map<string, number>();
  const others: string[] = [];
  names.forEach((name, index) => {
    const lead = leadName(name);
    if (lead && chosen.has(lead)) throw new RecordingError(`lead ${lead} is there twice; leave one of them`);
    if (lead) chosen.set(lead, index);
    else if (name) others.push(printable(name));
  });
  const found = others.slice(0, limits.maximum_signals).join(", ");
  if (!chosen.size) {
    throw new RecordingError(
      `no channel is named like one of the leads ${LEADS.join(", ")}; found ${found || "nothing"}${hint}`,
    );
  }
  return { chosen, notes: others.length ? [`ignored channels that are none of the 12 leads: ${found}`] : [] };
}

/** Refuses what is too many, too long or sampled at an absurd rate. */
export function checkExtent(signals: number, samples: number, rate: number): void {
  if (signals > limits.maximum_signals) {
    throw new RecordingError(`${signals} signals; at most ${limits.maximum_signals} are read`);
  }
  if (!(samples >= 1)) throw new RecordingError("there are no samples");
  if (!(rate >= limits.minimum_rate && rate <= limits.maximum_rate)) {
    throw new RecordingError(
      `a sampling rate of ${printable(rate)} Hz; ${limits.minimum_rate} to ${limits.maximum_rate} Hz are read`,
    );
  }
  if (samples > limits.maximum_duration_s * rate || signals * samples > limits.maximum_values) {
    throw new RecordingError(
      `${signals} signals of ${(samples / rate).toFixed(0)} s at ${plain(rate)} Hz are too much; at most ` +
        `${limits.maximum_duration_s} s and ${limits.maximum_values} samples are read: cut out the part that matters`,
    );
  }
}

/** The twelve leads out of a file's channels: in order, in mV, gaps filled, limb leads derived. */
export function assemble(channels: Channels): Recording {
  const { chosen, notes } = leadChannels(channels.names);
  const lengths = new Set([...chosen.values()].map((index) => channels.values[index].length));
  if (lengths.size > 1) throw new RecordingError("the leads have different numbers of samples");
  const [length] = lengths;
  checkExtent(channels.names.length, length, channels.rate);
  const recording: Recording = {
    signal: LEADS.map(() => new Float32Array(length)),
    rate: channels.rate,
    present: LEADS.map((lead) => chosen.has(lead)),
    notes: [...(channels.notes ?? []), ...notes],
  };
  for (const [lead, index] of chosen) {
    const factor = millivolts(channels.units[index]);
    const row = recording.signal[LEADS.indexOf(lead)];
    const values = channels.values[index];
    for (let i = 0; i < length; i++) {
      row[i] = values[i] * factor;
      if (Math.abs(row[i]) > limits.maximum_amplitude_mv && Number.isFinite(values[i])) {
        throw new RecordingError(
          `lead ${lead} has amplitudes beyond ${limits.maximum_amplitude_mv} mV, which are no ECG; check the units`,
        );
      }
    }
  }
  recording.notes.push(...fillGaps(recording), ...deriveLimbLeads(recording));
  const missing = LEADS.filter((_, row) => !recording.present[row]);
  if (missing.length) recording.notes.push(`missing leads: ${missing.join(", ")}`);
  return recording;
}

/** Interpolates short gaps in place; a lead without any sample counts as missing. */
function fillGaps(recording: Recording): string[] {
  const filled: string[] = [];
  let count = 0;
  let longest = 0;
  recording.signal.forEach((row, number) => {
    if (row.every(Number.isFinite)) return;
    const known = [...row.keys()].filter((i) => Number.isFinite(row[i]));
    if (!known.length) {
      row.fill(0);
      recording.present[number] = false;
      return;
    }
    const edges = [-1, ...known, row.length];
    for (let k = 1; k < edges.length; k++) {
      const [before, after] = [edges[k - 1], edges[k]];
      const gap = (after - before - 1) / recording.rate;
      if (gap === 0) continue;
      if (gap > limits.maximum_gap_s) {
        throw new RecordingError(
          `lead ${LEADS[number]} has no samples for ${gap.toFixed(2)} s from ${((before + 1) / recording.rate).toFixed(2)} s ` +
            `on; up to ${limits.maximum_gap_s} s are interpolated: cut out the part without gaps, or leave the lead out`,
        );
      }
      const left = row[before < 0 ? after : before];
      const right = row[after >= row.length ? before : after];
      for (let i = before + 1; i < after; i++) row[i] = left + ((right - left) * (i - before)) / (after - before);
      count += 1;
      longest = Math.max(longest, gap);
    }
    filled.push(LEADS[number]);
  });
  if (!recording.present.some(Boolean)) throw new RecordingError("no lead has any samples");
  const gaps = `${count} gap(s) of up to ${(longest * 1000).toFixed(0)} ms interpolated`;
  return filled.length ? [`${filled.length > 1 ? "leads" : "lead"} ${filled.join(", ")}: ${gaps}`] : [];
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
  return [`derived from ${sources.map((row) => LEADS[row]).join(" and ")}: ${missing.map((row) => LEADS[row]).join(", ")}`];
}
