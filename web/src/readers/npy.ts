/** NPY: a bare array of twelve leads in standard order, whose rate and unit the user must give; as `numpy_arrays.py`. */
import { type Channels, checkExtent, declaredOrGiven, type Given, printable, RecordingError } from "../recording";
import { LEADS } from "../tables";
import { latin1 } from "./text";

type Getter = (view: DataView, at: number, little: boolean) => number;

const TYPES: Record<string, [number, Getter]> = {
  f4: [4, (view, at, little) => view.getFloat32(at, little)],
  f8: [8, (view, at, little) => view.getFloat64(at, little)],
  i1: [1, (view, at) => view.getInt8(at)],
  i2: [2, (view, at, little) => view.getInt16(at, little)],
  i4: [4, (view, at, little) => view.getInt32(at, little)],
  i8: [8, (view, at, little) => Number(view.getBigInt64(at, little))],
  u1: [1, (view, at) => view.getUint8(at)],
  u2: [2, (view, at, little) => view.getUint16(at, little)],
  u4: [4, (view, at, little) => view.getUint32(at, little)],
  u8: [8, (view, at, little) => Number(view.getBigUint64(at, little))],
};
const HEADER = /^\{\s*'descr':\s*'([<>|=])(\w+)',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([\d,\s]*)\),?\s*\}\s*$/;

export const isNpy = (bytes: Uint8Array): boolean => latin1(bytes.subarray(0, 6)) === "\x93NUMPY";

export function readNpy(bytes: Uint8Array, given: Given): Channels {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const version = bytes[6];
  if (bytes.length < 12 || (version !== 1 && version !== 2)) {
    throw new RecordingError("an array file of an unknown version; save it with numpy.save");
  }
  const start = version === 1 ? 10 : 12;
  const end = start + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  const match = HEADER.exec(latin1(bytes.subarray(start, end)));
  if (!match) throw new RecordingError("the header of the array file cannot be understood; save plain numbers with numpy.save");
  const [, order, type, fortran, shapeText] = match;
  if (!Object.hasOwn(TYPES, type)) {
    throw new RecordingError(`an array of ${printable(type)} is not read here; save plain numbers, such as float32`);
  }
  const [size, get] = TYPES[type];
  const shape = shapeText.split(",").filter((text) => text.trim()).map(Number);
  if (shape.length !== 2 || shape[0] === shape[1] || !shape.includes(LEADS.length)) {
    throw new RecordingError(`the signal must be numbers of shape (12, samples) or (samples, 12), not (${shape.join(", ")})`);
  }
  const [rows, columns] = shape;
  if (size * rows * columns !== bytes.length - end) {
    throw new RecordingError(`the array file claims the shape (${shape.join(", ")}) and holds ${bytes.length - end} bytes`);
  }
  const rate = declaredOrGiven("sampling rate", undefined, given.rate);
  const unit = declaredOrGiven("unit", undefined, given.unit);
  const samples = rows === LEADS.length ? columns : rows;
  checkExtent(LEADS.length, samples, rate);
  // samples of one lead lie side by side if leads are the rows of a C array or the columns of a Fortran one
  const byLead = (rows === LEADS.length) === (fortran === "False");
  return {
    names: LEADS,
    values: LEADS.map((_, lead) =>
      Float64Array.from({ length: samples }, (_, i) => {
        const place = byLead ? lead * samples + i : i * LEADS.length + lead;
        return get(view, end + size * place, order !== ">");
      }),
    ),
    units: LEADS.map(() => unit),
    rate,
    notes: [`the leads are not named and were taken to be ${LEADS.join(", ")}`],
  };
}
