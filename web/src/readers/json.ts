/** The JSON that the server takes at /predict; as `serving/json_recordings.py`. */
import { type Channels, declaredOrGiven, type Given, refuse } from "../recording";
import { printable } from "../text";
import { decode, ELSEWHERE } from "./text";

const FIELDS = ["sampling_rate", "units", "leads"];

/** Whether the bytes start like a JSON object or list. */
export const isJson = (bytes: Uint8Array): boolean => /^\s*(\{\s*["}]|\[\s*[[{"\d-])/.test(decode(bytes.slice(0, 99)));

export function readJson(bytes: Uint8Array, given: Given): Channels {
  let body: Record<string, unknown> = {};
  try {
    body = JSON.parse(decode(bytes)) ?? {};
  } catch (error) {
    refuse(`the file cannot be read as JSON: ${printable((error as Error).message, 120)}`);
  }
  const { sampling_rate: rate, units, leads } = body;
  const isComplete = typeof rate === "number" && typeof units === "string" && typeof leads === "object" && leads;
  if (!isComplete || Object.keys(body).some((name) => !FIELDS.includes(name))) {
    const wanted = '{"sampling_rate": 500, "units": "mV", "leads": {"I": […], …}}';
    return refuse(`the JSON is not what the server takes: ${wanted}. ${ELSEWHERE}`);
  }
  declaredOrGiven("unit", units, given.unit);
  return {
    names: Object.keys(leads),
    values: Object.entries(leads).map(([name, samples]) => numbersOf(name, samples)),
    units: Object.keys(leads).map(() => units),
    rate: declaredOrGiven("sampling rate", rate, given.rate),
  };
}

function numbersOf(name: string, samples: unknown): Float64Array {
  if (Array.isArray(samples) && samples.every((value) => value === null || typeof value === "number")) {
    return Float64Array.from(samples, (value) => value ?? NaN);
  }
  return refuse(`lead ${printable(name)} must be one flat list of numbers or null`);
}
