/** Networks run by ONNX Runtime in WebAssembly: a recording in, named arrays out; docs/onnx.md says what they are. */
import * as ort from "onnxruntime-web/wasm";
import type { LeadSets } from "./lead_sets";
import { durationOf, type Recording, refuse } from "./recording";
import { resample } from "./resample";
import { limits } from "./tables";

const PROPERTIES = 14; // field of an ONNX file's outermost message, of key (1) and value (2)
const LONGEST_S = 300; // all of a recording is in memory at once

type Thresholds = { names: string[]; thresholds: number[]; validated: boolean[] };

/** What a network's file says of itself. */
export type Facts = { checkpoint_sha256: string; decisions: Decisions; rhythms: string[]; withheld: string[] };
export type Decisions = Record<string, { thresholds: number[]; statements: Thresholds }>;

/** leadSets: decisions by canonical set of leads, where they are not inside the file. */
export type Network = { session: ort.InferenceSession; facts: Facts; leadSets?: LeadSets };

/** Output name to its numbers for the one recording. */
export type Outputs = Record<string, number[]>;

ort.env.wasm.wasmPaths = new URL("./ort/", document.baseURI).href;
ort.env.wasm.numThreads = crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;

/** path: without .onnx. thresholds: of the file with decisions by lead set. */
export async function loadNetwork(path: string, thresholds?: string): Promise<Network> {
  const bytes = new Uint8Array(await (await fetched(`${path}.onnx`)).arrayBuffer());
  const leadSets = thresholds ? (await (await fetched(thresholds)).json()).lead_sets : undefined;
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  return { session, facts: JSON.parse(propertiesOf(bytes)["hmt_ecgnet"]), leadSets };
}

async function fetched(path: string): Promise<Response> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path} cannot be loaded: ${response.status}`);
  return response;
}

/** What the networks take: twelve rows in mV at 100 Hz. Throws RecordingError if the recording is too short or long. */
export function modelInput(recording: Recording): Float32Array[] {
  const duration = durationOf(recording);
  const { minimum_duration_s, full_duration_s, sampling_rate } = limits;
  if (duration < minimum_duration_s) {
    const wanted = `${minimum_duration_s} s are needed, ${full_duration_s} s are what the network was evaluated on`;
    refuse(`the recording lasts ${duration.toFixed(1)} s; at least ${wanted}`);
  }
  if (duration > LONGEST_S) {
    refuse(`the recording lasts ${duration.toFixed(0)} s; here up to ${LONGEST_S} s are read: use predict.py`);
  }
  return resample(recording.signal, recording.rate, sampling_rate);
}

export async function runNetwork({ session }: Network, rows: Float32Array[]): Promise<Outputs> {
  const shape = [1, rows.length, rows[0].length];
  const signals = new Float32Array(rows.length * rows[0].length);
  rows.forEach((row, number) => signals.set(row, number * row.length));
  const results = await session.run({ signals: new ort.Tensor("float32", signals, shape) });
  const numbers = Object.entries(results).map(([name, { data }]) => [name, Array.from(data as Float32Array, Number)]);
  return Object.fromEntries(numbers);
}

/** The metadata of an ONNX file, which the runtime does not show: a walk over its outermost protobuf fields. */
export function propertiesOf(bytes: Uint8Array): Record<string, string> {
  const entries = fieldsOf(bytes).filter(([field]) => field === PROPERTIES);
  const text = (value: Uint8Array) => new TextDecoder().decode(value);
  return Object.fromEntries(entries.map(([, entry]) => fieldsOf(entry).map(([, value]) => text(value))));
}

/** Numbers and contents of the fields of one protobuf message; those that are not bytes are left empty. */
function fieldsOf(bytes: Uint8Array): [number, Uint8Array][] {
  const fields: [number, Uint8Array][] = [];
  let at = 0;
  const next = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = next();
    const kind = key & 7;
    const length = kind === 0 ? 0 * next() : kind === 1 ? 8 : kind === 5 ? 4 : next();
    fields.push([key >> 3, bytes.subarray(at, kind === 2 ? at + length : at)]);
    at += length;
  }
  return fields;
}
