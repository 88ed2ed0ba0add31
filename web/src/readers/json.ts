/** The JSON that the server takes at /predict; as `serving/json_recordings.py`. */
import { type Channels, declaredOrGiven, type Given, printable, RecordingError } from "../recording";
import { limits } from "../tables";
import { decode } from "./text";

const FIELDS = ["sampling_rate", "units", "leads"];

/** Whether the bytes start like a JSON object or list. */
export const isJson = (bytes: Uint8Array): boolean =>
  /^\uFEFF?\s*(\{\s*["}]|\[\s*[[{"\d-])/.test(decode(bytes.subarray(0, 1000)));

export function readJson(bytes: Uint8Array, given: Given): Channels {
  let body: unknown;
  try {
    body = JSON.parse(decode(bytes));
  } catch (error) {
    throw new RecordingError(`the file cannot be read as JSON: ${printable((error as Error).message, 120)}`);
  }
  const fields = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const { sampling_rate: rate, units, leads } = fields;
  const isComplete = typeof rate === "number" && typeof units === "string" && typeof leads === "object" && leads !== null;
  if (!isComplete || Object.keys(fields).some((name) => !FIELDS.includes(name))) {
    throw new RecordingError(
      `the JSON is not what the server takes: {"sampling_rate": 500, "units": "mV", "leads": {"I": [0.01, …], …}}`,
    );
  }
  const names = Object.keys(leads);
  if (names.length > limits.maximum_signals) {
    throw new RecordingError(`${names.length} signals; at most ${limits.maximum_signals} are read`);
  }
  declaredOrGiven("unit", units, given.unit);
  return {
    names,
    values: Object.entries(leads).map(([name, samples]) => numbersOf(name, samples)),
    units: names.map(() => units),
    rate: declaredOrGiven("sampling rate", rate, given.rate),
  };
}

function numbersOf(name: string, samples: unknown): Float64Array {
  if (!Array.isArray(samples) || samples.some((value) => value !== null && typeof value !== "number")) {
    throw new RecordingError(`lead ${printable(name)} must be one flat list of numbers or null`);
  }
  return Float64Array.from(samples, (value) => value ?? NaN);
}
