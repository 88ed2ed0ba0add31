/** WFDB records in format 16: a header and the signal files it names; https://wfdb.io/spec/header-files.html. */
import { type Channels, checkExtent, declaredOrGiven, type Given, leadChannels, refuse } from "../recording";
import { printable } from "../text";
import type { Files } from "./index";
import { decode, numberFrom } from "./text";

const MAX_HEADER_BYTES = 65536;
const MISSING = -32768; // of format 16
// name, segments, signals, rate, samples
const RECORD_LINE = /^[-\w]+(\/\d+)?[ \t]+(\d+)(?:[ \t]+([\d.eE+-]+)(?:\/\S*)?(?:[ \t]+(\d+))?(?:[ \t].*)?)?$/;
// file, format, samples a frame, skew, offset, what follows: gain, resolution, zero, first, checksum, block, name
const SIGNAL_LINE = /^(\S+)[ \t]+(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?(?:[ \t]+(.*))?$/;
const GAIN = /^([\d.eE+-]+)(?:\((-?\d+)\))?(?:\/(\S+))?$/;

/** The lines of a header but for comments and empty ones. */
const linesOf = (bytes: Uint8Array): string[] =>
  decode(bytes).split(/[\r\n]+/).map((line) => line.replace(/#.*/, "").trim()).filter(Boolean);

/** Whether the bytes are a WFDB header: a record line, then a signal or segment line. */
export function isHeader(bytes: Uint8Array): boolean {
  if (bytes.length > MAX_HEADER_BYTES || bytes.includes(0)) return false;
  const [first, second] = linesOf(bytes);
  return second !== undefined && RECORD_LINE.test(first) && SIGNAL_LINE.test(second);
}

/** The signals of the record that a header describes. Throws RecordingError if it claims what is not there. */
export function readWfdb(headerName: string, files: Files, given: Given): Channels {
  const [first, ...rest] = linesOf(files.get(headerName)!);
  const [, segments, count, rateText, samplesText] = RECORD_LINE.exec(first)!;
  if (segments) refuse("records of several segments are not read; give one segment with its own header");
  if (!rateText || !samplesText) refuse("the header’s first line lacks the sampling rate or the number of samples");
  if (rest.length !== Number(count)) refuse(`the header declares ${count} signals and describes ${rest.length}`);
  const rate = declaredOrGiven("sampling rate", numberFrom(rateText, "the sampling rate"), given.rate);
  checkExtent(rest.length, Number(samplesText), rate);
  const signals = rest.map(signalFrom);
  const names = signals.map((signal) => signal.name);
  for (const [lead, index] of leadChannels(names).chosen) {
    declaredOrGiven(`unit of ${lead}`, signals[index].unit, given.unit);
  }
  for (const { file } of signals) {
    if (!files.has(file)) refuse(`${printable(headerName)} needs ${printable(file)}: choose or drop both together`);
  }
  const values = signals.map((signal) => valuesOf(signal, signals, Number(samplesText), files.get(signal.file)!));
  return { names, values, units: signals.map((signal) => signal.unit), rate };
}

type Signal = ReturnType<typeof signalFrom>;

function signalFrom(line: string) {
  const [, file, format, perFrame = "1", skew = "0", offset = "0", after = ""] = SIGNAL_LINE.exec(line) ?? [];
  if (!file) refuse(`a signal line of the header cannot be understood: ${printable(line)}`);
  if (!/^\w[-\w]*(\.\w+)?$/.test(file)) refuse(`the header names ${printable(file)}, which is no plain file name`);
  if (format !== "16") {
    refuse(`WFDB format ${format} is not read here, only format 16: use the Streamlit page or python predict.py`);
  }
  if (perFrame !== "1" || skew !== "0") {
    refuse("signals with several samples a frame or a skew are not read: convert with xform");
  }
  const [gainText = "", , zero = "0", , , , ...words] = after.split(/[ \t]+/);
  const [, gain = "0", baseline = zero, unit = "mV"] = GAIN.exec(gainText) ?? [];
  const name = words.join(" ");
  if (!(Number(gain) > 0 && Number(gain) < Infinity)) {
    refuse(`signal ${printable(name)} has no gain above zero, so its amplitude is unknown; complete the header`);
  }
  return { file, name, unit, offset: Number(offset), gain: Number(gain), baseline: numberFrom(baseline, "a baseline") };
}

function valuesOf(signal: Signal, signals: Signal[], samples: number, bytes: Uint8Array): Float64Array {
  const { file, offset, gain, baseline } = signal;
  const together = signals.filter((one) => one.file === file);
  if (together.some((one) => one.offset !== offset)) refuse(`${file}: all signals of one file must have one offset`);
  const needed = offset + 2 * samples * together.length;
  if (bytes.length < needed) {
    refuse(`${file} is cut short: it holds ${bytes.length} bytes of the ${needed} that its header describes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset);
  const column = together.indexOf(signal);
  return Float64Array.from({ length: samples }, (_, i) => {
    const value = view.getInt16(2 * (i * together.length + column), true);
    return value === MISSING ? NaN : (value - baseline) / gain;
  });
}
