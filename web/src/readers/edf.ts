/** EDF and EDF+C: the European Data Format (Kemp et al. 1992, 2003); as `ecg/readers/edf.py`. */
import { type Channels, checkExtent, declaredOrGiven, type Given, leadChannels, refuse } from "../recording";
import { limits } from "../tables";
import { latin1, numberFrom } from "./text";

const FIXED_BYTES = 256;
const SIGNAL_BYTES = 256;

/** Whether the bytes start with EDF's version field. */
export const isEdf = (bytes: Uint8Array): boolean =>
  bytes.length >= FIXED_BYTES && latin1(bytes.subarray(0, 8)) === "0       ";

/** The signals that are named like leads, in their physical units. */
export function readEdf(bytes: Uint8Array, given: Given): Channels {
  const text = (start: number, width: number) => latin1(bytes.subarray(start, start + width)).trim();
  if (text(192, 5) === "EDF+D") refuse("an interrupted recording (EDF+D) is not read; export a continuous part of it");
  const records = numberFrom(text(236, 8), "the number of data records");
  const seconds = numberFrom(text(244, 8), "the duration of a data record");
  const count = numberFrom(text(252, 4), "the number of signals");
  if (!Number.isInteger(count) || count < 1 || count > limits.maximum_signals) {
    refuse(`${count} signals; 1 to ${limits.maximum_signals} are read`);
  }
  if (!(records >= 1 && seconds > 0)) refuse("the header gives no number or duration of data records");
  // a field of every signal; offset: in bytes of header a signal
  const column = (offset: number, width = 8) =>
    Array.from({ length: count }, (_, signal) => text(FIXED_BYTES + offset * count + width * signal, width));
  const numbers = (offset: number) => column(offset).map((field) => numberFrom(field, "a field of a signal"));
  const [labels, units] = [column(0, 16), column(96)];
  const [physicalLow, physicalHigh, low, high, samples] = [104, 112, 120, 128, 216].map(numbers);
  const header = FIXED_BYTES + count * SIGNAL_BYTES;
  const frame = samples.reduce((total, one) => total + one, 0);
  if (samples.some((one) => !(one >= 1)) || header + 2 * records * frame > bytes.length) {
    refuse(`the file is cut short: its header describes ${header + 2 * records * frame} bytes, not ${bytes.length}`);
  }
  const { chosen, notes } = leadChannels(labels.map((label) => label.replace(/^EDF Annotations/, "")));
  const leads = [...chosen.values()];
  const perRecord = samples[leads[0]];
  if (leads.some((signal) => samples[signal] !== perRecord)) {
    refuse("the leads have different sampling rates; export them at one rate");
  }
  const rate = declaredOrGiven("sampling rate", perRecord / seconds, given.rate);
  checkExtent(leads.length, records * perRecord, rate);
  for (const [lead, signal] of chosen) declaredOrGiven(`unit of ${lead}`, units[signal], given.unit);
  const view = new DataView(bytes.buffer, bytes.byteOffset + header);
  const values = leads.map((signal) => {
    const before = samples.slice(0, signal).reduce((total, one) => total + one, 0);
    const step = (physicalHigh[signal] - physicalLow[signal]) / (high[signal] - low[signal]);
    if (!step || !Number.isFinite(step)) refuse("a signal has no range of values, so its amplitude is unknown");
    return Float64Array.from({ length: records * perRecord }, (_, i) => {
      const place = Math.floor(i / perRecord) * frame + before + (i % perRecord);
      const value = Math.min(Math.max(view.getInt16(2 * place, true), low[signal]), high[signal]);
      return physicalLow[signal] + (value - low[signal]) * step;
    });
  });
  return { names: [...chosen.keys()], values, units: leads.map((signal) => units[signal]), rate, notes };
}
