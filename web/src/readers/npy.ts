/** NPY: twelve leads in standard order, whose rate and unit the user must give; as `ecg/readers/numpy_arrays.py`. */
import { type Channels, checkExtent, declaredOrGiven, type Given, refuse } from "../recording";
import { LEADS, lookUp } from "../tables";
import { printable } from "../text";
import { latin1 } from "./text";

const SIGNED = { f4: "Float32", f8: "Float64", i1: "Int8", i2: "Int16", i4: "Int32", i8: "BigInt64" } as const;
const TYPES = { ...SIGNED, u1: "Uint8", u2: "Uint16", u4: "Uint32", u8: "BigUint64" } as const;
const HEADER = /'descr':\s*'([<>|=])(\w+)',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\(([\d,\s]*)\)/;

export const isNpy = (bytes: Uint8Array): boolean => bytes[0] === 0x93 && latin1(bytes.subarray(1, 6)) === "NUMPY";

export function readNpy(bytes: Uint8Array, given: Given): Channels {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const version = bytes[6];
  if (bytes.length < 12 || version < 1 || version > 2) refuse("an array file of an unknown version; use numpy.save");
  const end = version === 1 ? 10 + view.getUint16(8, true) : 12 + view.getUint32(8, true);
  const [, order, type, fortran, shapeText = ""] = HEADER.exec(latin1(bytes.subarray(10, end))) ?? [];
  const kind = lookUp<(typeof TYPES)[keyof typeof TYPES]>(TYPES, type ?? "");
  if (!kind) return refuse(`an array of ${printable(type)} is not read here; save plain numbers, such as float32`);
  const shape = shapeText.split(",").filter((text) => text.trim()).map(Number);
  const [rows, columns] = shape;
  if (shape.length !== 2 || rows === columns || !shape.includes(LEADS.length)) {
    refuse(`the signal must be numbers of shape (12, samples) or (samples, 12), not (${shape.join(", ")})`);
  }
  const size = Number(type[1]);
  if (size * rows * columns !== bytes.length - end) {
    refuse(`the array file claims the shape (${rows}, ${columns}) and holds ${bytes.length - end} bytes`);
  }
  const rate = declaredOrGiven("sampling rate", undefined, given.rate);
  const unit = declaredOrGiven("unit", undefined, given.unit);
  const samples = rows === LEADS.length ? columns : rows;
  checkExtent(LEADS.length, samples, rate);
  // samples of one lead lie side by side if leads are the rows of a C array or the columns of a Fortran one
  const byLead = (rows === LEADS.length) === (fortran === "False");
  const place = (lead: number, i: number) => (byLead ? lead * samples + i : i * LEADS.length + lead);
  const read = (at: number) => Number(view[`get${kind}`](end + size * at, order !== ">"));
  return {
    names: LEADS,
    values: LEADS.map((_, lead) => Float64Array.from({ length: samples }, (_, i) => read(place(lead, i)))),
    units: LEADS.map(() => unit),
    rate,
    notes: [`the leads are not named and were taken to be ${LEADS.join(", ")}`],
  };
}
