/** CSV and TSV: a header row of lead names and samples down the rows; as `ecg/readers/csv_tables.py`. */
import { type Channels, declaredOrGiven, type Given, leadChannels, refuse } from "../recording";
import { limits, lookUp, tables } from "../tables";
import { printable } from "../text";
import { decode, ELSEWHERE, isUTF16 } from "./text";

const MAX_HEADER_CHARACTERS = 10_000;
const MAX_NAME_CHARACTERS = 100;
const MAX_COMMENT_LINES = 100;
const MAX_COLUMNS = 4 * limits.maximum_signals;
const EMPTY = /^(|n\/?a|[-+]?nan|null|none|<na>|#n\/a|[+-]?inf(inity)?)$/i; // infinite is missing too

const whole = (pattern: string) => new RegExp(`^(?:${pattern})$`, "i");
const UNIT_IN_BRACKETS = whole(tables.csv.unit_in_brackets);
const UNIT_AFTER = whole(tables.csv.unit_after);
const RATE_COMMENT = whole(tables.csv.rate_comment);
const UNITS_COMMENT = whole(tables.csv.units_comment);

/** Whether the bytes could be a table in text: no binary zeros, unless in UTF-16, and no XML. */
export const isTable = (bytes: Uint8Array): boolean =>
  (isUTF16(bytes) || !bytes.includes(0)) && !/^\s*</.test(decode(bytes.slice(0, 99)));

/** The lead columns of a table. Throws RecordingError if rate or units are neither there nor given. */
export function readTable(bytes: Uint8Array, given: Given): Channels {
  const { comments, header, body } = partsOf(decode(bytes).split(/\r\n|\n|\r/));
  const count = (mark: string) => header.split(mark).length;
  const delimiter = [",", ";", "\t"].reduce((best, mark) => (count(mark) > count(best) ? mark : best));
  const columns = header.split(delimiter).map((name) => nameAndUnit(unquoted(name).slice(0, MAX_NAME_CHARACTERS)));
  if (columns.length > MAX_COLUMNS) refuse(`${columns.length} columns; at most ${MAX_COLUMNS} are read`);
  const isTime = (name: string) => ["time", "t", ...Object.keys(tables.csv.seconds)].includes(name.toLowerCase());
  const { chosen, notes } = leadChannels(
    columns.map(({ name }) => (isTime(name) ? "" : name)),
    `; a table needs a header row of lead names and samples down the rows. ${ELSEWHERE}`,
  );
  const time = columns.findIndex(({ name }) => isTime(name));
  const table = numbersOf(body, delimiter, [...chosen.values(), ...(time < 0 ? [] : [time])]);
  const declaredRate = rateIn(comments) ?? (time < 0 ? undefined : rateOf(table.get(time)!, columns[time]));
  const common = comments.map((comment) => UNITS_COMMENT.exec(comment)?.[1]).find(Boolean);
  return {
    names: [...chosen.keys()],
    values: [...chosen.values()].map((index) => table.get(index)!),
    rate: declaredOrGiven("sampling rate", declaredRate, given.rate),
    units: [...chosen].map(([lead, i]) => declaredOrGiven(`unit of ${lead}`, columns[i].unit ?? common, given.unit)),
    notes,
  };
}

const unquoted = (text: string) => text.trim().replace(/^"(.*)"$/, "$1").trim();

/** Comment lines, header row, and the rows below. */
function partsOf(lines: string[]): { comments: string[]; header: string; body: string[] } {
  const first = lines.findIndex((line) => line.trim() && !line.trim().startsWith("#"));
  if (first < 0 || first >= MAX_COMMENT_LINES || lines[first].length > MAX_HEADER_CHARACTERS) {
    refuse("no header row of lead names is found at the top of the file");
  }
  const bare = (line: string) => line.trim().slice(0, MAX_NAME_CHARACTERS).replace(/^[# \t"']+|[# \t"']+$/g, "");
  return { comments: lines.slice(0, first).map(bare), header: lines[first], body: lines.slice(first + 1) };
}

function nameAndUnit(column: string): { name: string; unit?: string } {
  const match = UNIT_IN_BRACKETS.exec(column) ?? UNIT_AFTER.exec(column);
  return match ? { name: match[1].trim(), unit: match[2].trim() } : { name: column };
}

/** Some columns of the rows as numbers, NaN where a field is empty. */
function numbersOf(body: string[], delimiter: string, columns: number[]): Map<number, Float64Array> {
  const rows = body.map((line) => line.replace(/#.*/, "")).filter((line) => line.trim());
  if (rows.length * columns.length > limits.maximum_values) {
    refuse(`${rows.length} rows are too many; at most ${limits.maximum_values} numbers are read`);
  }
  const decimalComma = delimiter === ";" && !rows.slice(0, 100).some((row) => row.includes("."));
  const table = new Map(columns.map((column) => [column, new Float64Array(rows.length)]));
  for (const [number, row] of rows.entries()) {
    const fields = row.split(delimiter);
    for (const [column, values] of table) {
      const text = unquoted(fields[column] ?? "");
      const value = EMPTY.test(text) ? NaN : Number(decimalComma ? text.replace(",", ".") : text);
      if (Number.isNaN(value) && !EMPTY.test(text)) {
        refuse(`the table has something else than numbers in the lead columns: ${printable(text)}`);
      }
      values[number] = value;
    }
  }
  return table;
}

function rateIn(comments: string[]): number | undefined {
  const match = comments.map((comment) => RATE_COMMENT.exec(comment)).find(Boolean);
  return match ? Number(match[1]) * (match[2]?.toLowerCase() === "khz" ? 1000 : 1) : undefined;
}

/** The rate in Hz of an even time column; undefined if its name has no unit of time. */
function rateOf(times: Float64Array, { name, unit }: { name: string; unit?: string }): number | undefined {
  const second = lookUp<number>(tables.csv.seconds, (unit ?? name).toLowerCase());
  if (second === undefined) return undefined;
  const last = times.length - 1;
  const step = (times[last] - times[0]) / last;
  if (!(step > 0 && times.every(Number.isFinite))) refuse(`the time column ${printable(name)} does not rise`);
  if (times.some((time, i) => Math.abs(time - times[0] - i * step) > step)) {
    refuse(`the time column ${printable(name)} is uneven: samples are missing, or the rate changes`);
  }
  return Number((1 / (step * second)).toFixed(3));
}
