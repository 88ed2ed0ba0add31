/** EDF and EDF+C: the European Data Format (Kemp et al. 1992, 2003); as `ecg/readers/edf.py`. */
import { type Channels, checkExtent, declaredOrGiven, type Given, leadChannels, RecordingError } from "../recording";
import { limits } from "../tables";
import { latin1, numberFrom } from "./text";

const FIXED_BYTES = 256;
const SIGNAL_BYTES = 256;
// where each signal's columns start, in bytes of header a signal, and how wide they are
const COLUMNS = {
  label: [0, 16],
  unit: [96, 8],
  physicalMinimum: [104, 8],
  physicalMaximum: [112, 8],
  digitalMinimum: [120, 8],
  digitalMaximum: [128, 8],
  samples: [216, 8],
} as const;

/** Whether the bytes start with EDF's version field. */
export const isEdf = (bytes: Uint8Array): boolean =>
  bytes.length >= FIXED_BYTES && latin1(bytes.subarray(0, 8)) === "0       ";

/** The signals that are named like leads, in their physical units. */
export function readEdf(bytes: Uint8Array, given: Given): Channels {
  const text = (start: number, width: number) => latin1(bytes.subarray(start, start + width)).trim();
  if (text(192, 5) === "EDF+D") {
    throw new RecordingError("an interrupted recording (EDF+D) is not read; export a continuous part of it");
  }
  const records = numberFrom(text(236, 8), "the number of data records");
  const seconds = numberFrom(text(244, 8), "the duration of a data record");
  const count = numberFrom(text(252, 4), "the number of signals");
  if (!Number.isInteger(count) || count < 1 || count > limits.maximum_signals) {
    throw new RecordingError(`${count} signals; 1 to ${limits.maximum_signals} are read`);
  }
  if (!(records >= 1 && seconds > 0)) {
    throw new RecordingError("the header gives no number or duration of data records; the recording was not finished");
  }
  const column = (name: keyof typeof COLUMNS): string[] => {
    const [offset, width] = COLUMNS[name];
    return Array.from({ length: count }, (_, signal) => text(FIXED_BYTES + offset * count + width * signal, width));
  };
  const numbers = (name: keyof typeof COLUMNS) => column(name).map((field) => numberFrom(field, "a field of a signal"));
  const samples = numbers("samples");
  const header = FIXED_BYTES + count * SIGNAL_BYTES;
  const frame = samples.reduce((total, one) => total + one, 0);
  if (samples.some((one) => !(one >= 1)) || header + 2 * records * frame > bytes.length) {
    throw new RecordingError(
      `the file is cut short: its header describes ${header + 2 * records * frame} bytes, it holds ${bytes.length}`,
    );
  }
  const { chosen, notes } = leadChannels(column("label").map((label) => label.replace(/^EDF Annotations/, "")));
  const leads = [...chosen.values()];
  if (new Set(leads.map((signal) => samples[signal])).size > 1) {
    throw new RecordingError("the leads have different sampling rates; export them at one rate");
  }
  const perRecord = samples[leads[0]];
  const rate = declaredOrGiven("sampling rate", perRecord / seconds, given.rate);
  checkExtent(leads.length, records * perRecord, rate);
  const units = column("unit");
  for (const [lead, signal] of chosen) declaredOrGiven(`unit of ${lead}`, units[signal], given.unit);
  const view = new DataView(bytes.buffer, bytes.byteOffset + header);
  const [physicalMinimum, physicalMaximum] = [numbers("physicalMinimum"), numbers("physicalMaximum")];
  const [digitalMinimum, digitalMaximum] = [numbers("digitalMinimum"), numbers("digitalMaximum")];
  const values = leads.map((signal) => {
    const before = samples.slice(0, signal).reduce((total, one) => total + one, 0);
    const step =
      (physicalMaximum[signal] - physicalMinimum[signal]) / (digitalMaximum[signal] - digitalMinimum[signal]);
    if (!Number.isFinite(step) || step === 0) {
      throw new RecordingError("the header gives a signal no range of values, so its amplitude is unknown");
    }
    return Float64Array.from({ length: records * perRecord }, (_, i) => {
      const record = Math.floor(i / perRecord);
      const count = view.getInt16(2 * (record * frame + before + (i % perRecord)), true);
      const within = Math.min(Math.max(count, digitalMinimum[signal]), digitalMaximum[signal]);
      return physicalMinimum[signal] + (within - digitalMinimum[signal]) * step;
    });
  });
  return { names: [...chosen.keys()], values, units: leads.map((signal) => units[signal]), rate, notes };
}
