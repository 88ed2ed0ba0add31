/** Networks run by ONNX Runtime in WebAssembly: a recording in, named arrays out. */
import * as ort from "onnxruntime-web/wasm";
import { durationOf, type Recording, RecordingError } from "./recording";
import { resample } from "./resample";
import { LEADS, limits } from "./tables";

const PROPERTIES = 14; // field of an ONNX file's outermost message, of key (1) and value (2)

/** facts: what the file says of itself, see docs/onnx.md. */
export interface Network {
  session: ort.InferenceSession;
  facts: Facts;
}

export interface Facts {
  model: string;
  checkpoint_sha256: string;
  synthetic: boolean;
  thresholds: Record<string, number>;
  validated: Record<string, boolean>;
}

/** Output name to its numbers for the one recording. */
export type Outputs = Record<string, number[]>;

ort.env.wasm.wasmPaths = new URL("./ort/", document.baseURI).href;
ort.env.wasm.numThreads = crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;

/** Loads one network and runs it once, since the first run takes longer than all others. */
export async function loadNetwork(path: string): Promise<Network> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path} cannot be loaded: ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  const network = { session, facts: JSON.parse(propertiesOf(bytes)["hmt_ecgnet"]) as Facts };
  await runNetwork(network, LEADS.map(() => new Float32Array(10 * limits.sampling_rate)));
  return network;
}

/** What the networks take: twelve rows in mV at 100 Hz. Throws RecordingError if the recording is too short. */
export function modelInput(recording: Recording): Float32Array[] {
  const duration = durationOf(recording);
  if (duration < limits.minimum_duration_s) {
    throw new RecordingError(
      `the recording lasts ${duration.toFixed(1)} s; at least ${limits.minimum_duration_s} s are needed, ` +
        `${limits.full_duration_s} s are what the network was evaluated on`,
    );
  }
  return resample(recording.signal, recording.rate, limits.sampling_rate);
}

export async function runNetwork({ session }: Network, rows: Float32Array[]): Promise<Outputs> {
  const samples = rows[0].length;
  const signals = new Float32Array(rows.length * samples);
  rows.forEach((row, number) => signals.set(row, number * samples));
  const results = await session.run({ signals: new ort.Tensor("float32", signals, [1, rows.length, samples]) });
  return Object.fromEntries(
    Object.entries(results).map(([name, tensor]) => [name, Array.from(tensor.data as ArrayLike<number>, Number)]),
  );
}

/** The metadata of an ONNX file, which the runtime does not show: a walk over its outermost protobuf fields. */
export function propertiesOf(bytes: Uint8Array): Record<string, string> {
  const text = new TextDecoder();
  return Object.fromEntries(
    fieldsOf(bytes)
      .filter(([field]) => field === PROPERTIES)
      .map(([, entry]) => fieldsOf(entry).map(([, value]) => text.decode(value))),
  );
}

/** Numbers and contents of the fields of one protobuf message; those that are not bytes are left empty. */
function fieldsOf(bytes: Uint8Array): [number, Uint8Array][] {
  const fields: [number, Uint8Array][] = [];
  let at = 0;
  const variable = () => {
    let [value, scale] = [0, 1];
    for (; ; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (!(byte & 128)) return value;
    }
  };
  while (at < bytes.length) {
    const key = variable();
    const kind = key & 7;
    const length = kind === 0 ? (variable(), 0) : kind === 1 ? 8 : kind === 5 ? 4 : variable();
    fields.push([key >> 3, kind === 2 ? bytes.subarray(at, at + length) : bytes.subarray(0, 0)]);
    at += length;
  }
  return fields;
}
