/**
 * Apple Health's export of a watch's ECG, in the language of the phone; as `ecg/readers/apple_health.py`.
 *
 * Above the first line without a letter one value is the rate, one a unit of voltage, and its neighbour names the lead.
 * Nothing else of the header, which holds name and date of birth, is kept or quoted.
 */
import { type Channels, declaredOrGiven, type Given, leadName, millivolts, refuse } from "../recording";
import { limits, tables } from "../tables";
import { decode } from "./text";

const HEAD_BYTES = 16_384;
const MAX_HEADER_LINES = 40;
const MIN_HEADER_LINES = 3;
const QUANTITY = /^(\d+(?:[.,]\d+)?)\s*(\p{L}[^\d\s]{0,19})$/u;
const MOMENT = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}$/;
const HERTZ = new RegExp(`^(?:${tables.hertz})`, "i");

const linesOf = (bytes: Uint8Array) => decode(bytes).split(/\r\n|\n|\r/);

/** What the lines above the samples say, as far as they say it; undefined if they are no header of keys and values. */
function headerOf(lines: string[]) {
  const above = lines.findIndex((line) => line.trim() && !/\p{L}/u.test(line));
  const count = Math.min(above < 0 ? lines.length : above, MAX_HEADER_LINES);
  const header = lines.slice(0, count).filter((line) => line.trim());
  if (header.length < MIN_HEADER_LINES || header[0].trim().startsWith("#")) return undefined;
  const values = header.map((line) => line.normalize("NFKC").replace(/^[^,;\t]*[,;\t][\s;,"]*|[\s;,"]+$/g, ""));
  const quantities = values.flatMap((value) => {
    const [, number, word] = QUANTITY.exec(value) ?? [];
    return number ? [{ rate: Number(number.replace(",", ".")), word }] : [];
  });
  const possible = quantities.filter(({ rate }) => rate >= limits.minimum_rate && rate <= limits.maximum_rate);
  const inHertz = possible.filter(({ word }) => HERTZ.test(word));
  const rates = new Set((inHertz.length ? inHertz : possible).map(({ rate }) => rate));
  const unitAt = values.findLastIndex((value) => millivolts(value) !== undefined);
  const besideUnit = unitAt < 0 ? [] : values.slice(Math.max(unitAt - 1, 0), unitAt + 2);
  const words = besideUnit.flatMap((value) => value.match(/-?[0-9A-Za-z]+/g) ?? []);
  const leads = new Set(words.map(leadName).filter(Boolean));
  return {
    rate: rates.size === 1 ? [...rates][0] : undefined,
    unit: values[unitAt],
    lead: leads.size === 1 ? [...leads][0] : undefined,
    moment: values.find((value) => MOMENT.test(value)),
    lines: above,
  };
}

/** Whether the bytes start like such an export: two of rate, unit and moment of the recording in a header. */
export function isExport(bytes: Uint8Array): boolean {
  const { rate, unit, moment } = headerOf(linesOf(bytes.slice(0, HEAD_BYTES)).slice(0, -1)) ?? {};
  return [rate, unit, moment].filter((found) => found !== undefined).length >= 2;
}

/** The one lead of an export. */
export function readExport(bytes: Uint8Array, given: Given): Channels {
  const lines = linesOf(bytes);
  const { rate, unit, lead, lines: above = 0 } = headerOf(lines) ?? {};
  if (!rate || !unit || !lead) {
    return refuse("the file is built like Apple Health’s ECG, but rate, unit or lead are missing; export it again");
  }
  const samples = lines.slice(above).join("\n").trim().split("\n").map((line) => line.trim().replace(/[\s;,]+$/, ""));
  const isNumber = samples.some((line) => line.includes(",")) ? /^([+-]?\d*,?\d+)?$/ : /^([+-]?\d*\.?\d+)?$/;
  if (!samples.every((line) => isNumber.test(line))) {
    refuse("below its header a watch’s ECG must have one number a line, all with a point or all with a comma");
  }
  return {
    names: [lead],
    values: [Float64Array.from(samples, (line) => (line ? Number(line.replace(",", ".")) : NaN))],
    units: [declaredOrGiven("unit", unit, given.unit)],
    rate: declaredOrGiven("sampling rate", rate, given.rate),
  };
}
