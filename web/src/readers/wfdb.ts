/** WFDB records in format 16: a text header and the signal files it names; https://wfdb.io/spec/header-files.html. */
import { type Channels, checkExtent, declaredOrGiven, type Given, leadChannels, printable, RecordingError } from "../recording";
import type { Files } from "./index";
import { decode, numberFrom } from "./text";

const MAX_HEADER_BYTES = 65536;
const MISSING = -32768; // of format 16
const RECORD_LINE = /^([-\w]+)(\/\d+)?[ \t]+(\d+)(?:[ \t]+([\d.eE+-]+)(?:\/\S*)?(?:[ \t]+(\d+))?.*)?$/;
const SIGNAL_LINE = /^(\S+)[ \t]+(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?(?:[ \t]+(.*))?$/;
// gain(baseline)/unit, resolution, zero, first value, checksum, block size, name
const GAIN = /^([\d.eE+-]+)(?:\((-?\d+)\))?(?:\/(\S+))?$/;

interface Signal {
  file: string;
  offset: number;
  gain: number;
  baseline: number;
  unit: string;
  name: string;
}

/** The lines of a header but for comments and empty ones. */
const linesOf = (bytes: Uint8Array): string[] =>
  decode(bytes)
    .split(/[\r\n]+/)
    .map((line) => line.replace(/#.*/, "").trim())
    .filter(Boolean);

/** Whether the bytes are a WFDB header: a record line, then a signal or segment line. */
export function isHeader(bytes: Uint8Array): boolean {
  if (bytes.length > MAX_HEADER_BYTES || bytes.includes(0)) return false;
  const [first, second] = linesOf(bytes);
  return second !== undefined && /^[-\w]+(\/\d+)?[ \t]+\d+([ \t/].*)?$/.test(first) && SIGNAL_LINE.test(second);
}

/** The signals of the record that a header describes. Throws RecordingError if the header claims what is not there. */
export function readWfdb(headerName: string, files: Files, given: Given): Channels {
  const [first, ...rest] = linesOf(files.get(headerName)!);
  const record = RECORD_LINE.exec(first);
  if (!record) throw new RecordingError(`the first line of the header cannot be understood: ${printable(first)}`);
  const [, , segments, count, rateText, samplesText] = record;
  if (segments) throw new RecordingError("records of several segments are not read; give one segment with its own header");
  if (!rateText || !samplesText) {
    throw new RecordingError("the header does not give the sampling rate and the number of samples; complete its first line");
  }
  if (rest.length !== Number(count)) {
    throw new RecordingError(`the header declares ${count} signals and describes ${rest.length}`);
  }
  const rate = declaredOrGiven("sampling rate", numberFrom(rateText, "the sampling rate"), given.rate);
  const samples = Number(samplesText);
  checkExtent(rest.length, samples, rate);
  const signals = rest.map(signalFrom);
  for (const index of leadChannels(signals.map((signal) => signal.name)).chosen.values()) {
    declaredOrGiven(`unit of ${signals[index].name}`, signals[index].unit, given.unit);
  }
  return {
    names: signals.map((signal) => signal.name),
    values: signals.map((signal) => valuesOf(signal, signals, samples, headerName, files)),
    units: signals.map((signal) => signal.unit),
    rate,
  };
}

function signalFrom(line: string): Signal {
  const match = SIGNAL_LINE.exec(line);
  if (!match) throw new RecordingError(`a signal line of the header cannot be understood: ${printable(line)}`);
  const [, file, format, perFrame, skew, offset, after = ""] = match;
  if (!/^\w[-\w]*(\.\w+)?$/.test(file)) {
    throw new RecordingError(`the header names the file ${printable(file)}; only plain names of files beside it are read`);
  }
  if (format !== "16") {
    throw new RecordingError(`WFDB format ${format} is not read here, only format 16: use the Streamlit page or python predict.py`);
  }
  if ((perFrame && perFrame !== "1") || (skew && skew !== "0")) {
    throw new RecordingError("signals with several samples a frame or a skew are not read: convert with xform");
  }
  const [gainText = "", , zero = "0", , , , ...name] = after.split(/[ \t]+/);
  const [, gain = "0", baseline = zero, unit = "mV"] = GAIN.exec(gainText) ?? [];
  if (!(Number(gain) > 0 && Number.isFinite(Number(gain)))) {
    throw new RecordingError(
      `signal ${printable(name.join(" "))} has no gain above zero, so its amplitude is unknown; complete the header`,
    );
  }
  return {
    file,
    offset: Number(offset ?? 0),
    gain: Number(gain),
    baseline: numberFrom(baseline, "a baseline"),
    unit,
    name: name.join(" "),
  };
}

function valuesOf(signal: Signal, signals: Signal[], samples: number, headerName: string, files: Files): Float64Array {
  const bytes = files.get(signal.file);
  if (!bytes) {
    throw new RecordingError(
      `${printable(headerName)} needs ${printable(signal.file)}, which is not there; choose or drop both files together`,
    );
  }
  const together = signals.filter((one) => one.file === signal.file);
  if (together.some((one) => one.offset !== signal.offset)) {
    throw new RecordingError(`${printable(signal.file)}: all signals of one file must have one offset`);
  }
  const needed = signal.offset + 2 * samples * together.length;
  if (bytes.length < needed) {
    throw new RecordingError(
      `${printable(signal.file)} is cut short: it holds ${bytes.length} bytes of the ${needed} that its header describes`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + signal.offset);
  const column = together.indexOf(signal);
  return Float64Array.from({ length: samples }, (_, i) => {
    const value = view.getInt16(2 * (i * together.length + column), true);
    return value === MISSING ? NaN : (value - signal.baseline) / signal.gain;
  });
}

