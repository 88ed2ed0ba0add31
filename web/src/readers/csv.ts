/** CSV and TSV with a header row of lead names, as `ecg/readers/csv_tables.py`, and Apple Health's ECG export. */
import {
  type Channels,
  declaredOrGiven,
  type Given,
  leadChannels,
  leadName,
  plain,
  printable,
  RecordingError,
} from "../recording";
import { limits, lookUp, tables } from "../tables";
import { decode } from "./text";

const MAX_HEADER_CHARACTERS = 10_000;
const MAX_NAME_CHARACTERS = 100;
const MAX_COMMENT_LINES = 100;
const MAX_COLUMNS = 4 * limits.maximum_signals;
const EMPTY = new Set(["", "na", "n/a", "nan", "-nan", "null", "none", "<na>", "#n/a"]);

const whole = (pattern: string) => new RegExp(`^(?:${pattern})$`, "i");
const UNIT_IN_BRACKETS = whole(tables.csv.unit_in_brackets);
const UNIT_AFTER = whole(tables.csv.unit_after);
const RATE_COMMENT = whole(tables.csv.rate_comment);
const UNITS_COMMENT = whole(tables.csv.units_comment);

/** Whether the bytes could be a table in text: no binary zeros, unless in UTF-16. */
export const isTable = (bytes: Uint8Array): boolean =>
  (bytes[0] ^ bytes[1]) === 1 && (bytes[0] | bytes[1]) === 0xff ? true : !bytes.includes(0);

/** The lead columns of a table. Throws RecordingError if rate or units are neither there nor given. */
export function readTable(bytes: Uint8Array, given: Given): Channels {
  const lines = decode(bytes).replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  return readAppleHealth(lines, given) ?? readColumns(lines, given);
}

function readColumns(lines: string[], given: Given): Channels {
  const { comments, header, body } = partsOf(lines);
  const delimiter = [",", ";", "\t"].reduce((best, one) => (count(header, one) > count(header, best) ? one : best));
  const names = header.split(delimiter).map((name) => unquoted(name).slice(0, MAX_NAME_CHARACTERS));
  if (names.length > MAX_COLUMNS) throw new RecordingError(`${names.length} columns; at most ${MAX_COLUMNS} are read`);
  const columns = names.map(nameAndUnit);
  const times = columns.flatMap(({ name }, index) =>
    ["time", "t"].includes(name.toLowerCase()) || lookUp(tables.csv.seconds, name.toLowerCase()) ? [index] : [],
  );
  const { chosen, notes } = leadChannels(
    columns.map(({ name }, index) => (times.includes(index) ? "" : name)),
    "; a table needs a header row of lead names and samples down the rows",
  );
  const needed = [...chosen.values(), ...times.slice(0, 1)];
  const table = numbersOf(body, delimiter, needed);
  const time = times.length ? { values: table.get(times[0])!, ...columns[times[0]] } : undefined;
  const declaredRate = rateIn(comments) ?? (time && rateOf(time.values, time.name, time.unit));
  const common = comments.map((comment) => UNITS_COMMENT.exec(comment)?.[1]).find(Boolean);
  return {
    names: [...chosen.keys()],
    values: [...chosen.values()].map((index) => table.get(index)!),
    rate: declaredOrGiven("sampling rate", declaredRate, given.rate),
    units: [...chosen].map(([lead, index]) => declaredOrGiven(`unit of ${lead}`, columns[index].unit ?? common, given.unit)),
    notes,
  };
}

const count = (text: string, character: string) => text.split(character).length - 1;
const unquoted = (text: string) => text.trim().replace(/^"(.*)"$/, "$1").trim();

/** Comment lines, header row, and the rows below. */
function partsOf(lines: string[]): { comments: string[]; header: string; body: string[] } {
  const comments: string[] = [];
  for (const [number, line] of lines.slice(0, MAX_COMMENT_LINES).entries()) {
    const text = line.trim();
    if (text.length > MAX_HEADER_CHARACTERS) break;
    if (text.startsWith("#")) comments.push(text.slice(0, MAX_NAME_CHARACTERS).replace(/^[# \t"']+|[# \t"']+$/g, ""));
    else if (text) return { comments, header: line, body: lines.slice(number + 1) };
  }
  throw new RecordingError("no header row of lead names is found at the top of the file");
}

function nameAndUnit(column: string): { name: string; unit?: string } {
  const match = UNIT_IN_BRACKETS.exec(column) ?? UNIT_AFTER.exec(column);
  return match ? { name: match[1].trim(), unit: match[2].trim() } : { name: column };
}

/** Some columns of the rows as numbers, NaN where a field is empty. */
function numbersOf(body: string[], delimiter: string, columns: number[]): Map<number, Float64Array> {
  const rows = body.map((line) => line.replace(/#.*/, "")).filter((line) => line.trim());
  if (rows.length * columns.length > limits.maximum_values) {
    throw new RecordingError(`${rows.length} rows are too many; at most ${limits.maximum_values} numbers are read`);
  }
  const decimalComma = delimiter === ";" && !rows.slice(0, 100).some((row) => row.includes("."));
  const table = new Map(columns.map((column) => [column, new Float64Array(rows.length)]));
  rows.forEach((row, number) => {
    const fields = row.split(delimiter);
    for (const [column, values] of table) {
      const text = unquoted(fields[column] ?? "");
      values[number] = numberOrNaN(decimalComma ? text.replace(",", ".") : text);
    }
  });
  return table;
}

function numberOrNaN(text: string): number {
  if (EMPTY.has(text.toLowerCase()) || /^[+-]?inf(inity)?$/i.test(text)) return NaN;
  const value = Number(text);
  if (Number.isNaN(value)) {
    throw new RecordingError(`the table has something else than numbers in the lead columns: ${printable(text)}`);
  }
  return value;
}

function rateIn(comments: string[]): number | undefined {
  const match = comments.map((comment) => RATE_COMMENT.exec(comment)).find(Boolean);
  return match ? Number(match[1]) * (match[2]?.toLowerCase() === "khz" ? 1000 : 1) : undefined;
}

/** The rate in Hz of an even time column; undefined if its name has no unit of time. */
function rateOf(times: Float64Array, name: string, unit: string | undefined): number | undefined {
  const second = lookUp<number>(tables.csv.seconds, (unit ?? name).toLowerCase());
  if (second === undefined) return undefined;
  const last = times.length - 1;
  if (last < 1 || !times.every(Number.isFinite) || times[last] <= times[0]) {
    throw new RecordingError(`the time column ${printable(name)} does not rise throughout`);
  }
  const step = (times[last] - times[0]) / last;
  if (times.some((time, i) => Math.abs(time - times[0] - i * step) > step)) {
    throw new RecordingError(`the time column ${printable(name)} is uneven: samples are missing, or the rate changes`);
  }
  return Number((1 / (step * second)).toFixed(3));
}

/**
 * Apple Health's ECG, whose keys are in the language of the phone: lines of key and value, among them a rate in hertz, a
 * voltage's unit and a lead, then one number a line, with a decimal comma or point. Who it is of is not kept.
 */
function readAppleHealth(lines: string[], given: Given): Channels | undefined {
  const isNumber = (line: string) => /^\s*-?\d+(?:[.,]\d+)?\s*$/.test(line);
  const start = lines.findIndex(isNumber);
  if (start < 3 || start > MAX_COMMENT_LINES) return undefined;
  const values = lines.slice(0, start).map((line) => unquoted(line.slice(line.indexOf(",") + 1)));
  const rate = values.map((value) => /^(\d+(?:[.,]\d+)?)\s*h(?:ertz|z|er[ct]\w*)$/i.exec(value)?.[1]).find(Boolean);
  const unit = values.find((value) => /^(?:[µμunm]?v|(?:micro|milli)volts?)$/i.test(value));
  const lead = values.map((value) => leadName(value.split(/\s+/).pop() ?? "")).find(Boolean);
  if (!rate || !unit || !lead) return undefined;
  const samples = lines.slice(start).filter((line) => line.trim());
  const odd = samples.find((line) => !isNumber(line));
  if (odd !== undefined) throw new RecordingError(`a sample is no number: ${printable(odd)}`);
  const declared = Number(rate.replace(",", "."));
  return {
    names: [lead],
    values: [Float64Array.from(samples, (line) => Number(line.replace(",", ".")))],
    units: [declaredOrGiven("unit", unit, given.unit)],
    rate: declaredOrGiven("sampling rate", declared, given.rate),
    notes: [`an ECG of Apple Health, lead ${lead} at ${plain(declared)} Hz`],
  };
}
