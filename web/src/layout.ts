/** Where everything goes on a page of ECG paper, in mm from its lower left corner; as `ecg/plotting/layout.py`. */
import { durationOf, type Recording } from "./recording";
import { LEADS, lookUp, tables } from "./tables";

const P = tables.paper;

/** arrangement: a key of the table. speed: mm/s. gain: mm/mV. */
export type PaperSettings = { arrangement: string; speed: number; gain: number };

/** start: s. x: mm. trace: x from the page's edge, y from the row's baseline, where the lead's median is drawn. */
export type Strip = { label: string; row: number; start: number; x: number; present: boolean; trace: Point[] };
export type Point = [number, number];

/** baselines: y of each row's, from the top. */
export type Page = Size & { grid: Size & { x: number; y: number }; strips: Strip[]; baselines: number[] };
type Size = { width: number; height: number };
type Arrangement = { columns: string[][]; rhythm: string[] };

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);

/** A page that shows all of a recording, as high as its traces need so as not to overlap. */
export function layOut(recording: Recording, settings: PaperSettings): Page {
  const arrangement = arranged(recording, settings.arrangement);
  const height = P.screen_heights[arrangement.columns[0].length + arrangement.rhythm.length - 1];
  const width = Math.max(160, P.margin + durationOf(recording) * settings.speed);
  const least = height * Math.max(1, settings.gain / 12);
  const pages = P.growth.map((growth) => place(recording, settings, arrangement, { width, height: growth * least }));
  return pages.find((page) => !overlaps(page, settings.speed / recording.rate)) ?? pages[0];
}

/** Which leads stand where; of fewer than eight leads only those that were recorded. */
function arranged(recording: Recording, name: string): Arrangement {
  const whole = lookUp<Arrangement>(P.arrangements, name)!;
  const isRecorded = (label: string) => recording.present[LEADS.indexOf(label.replace("-", ""))];
  const leads = whole.columns.flat().filter(isRecorded);
  if (recording.present.filter(Boolean).length >= P.standard_from) return whole;
  const isOneColumn = leads.length <= P.most_below_each_other;
  const high = isOneColumn ? leads.length : lookUp<number>(P.rows, name.split(" ")[0])!;
  const columns = leads.flatMap((_, k) => (k % high ? [] : [leads.slice(k, k + high)]));
  return { columns, rhythm: columns.length > 1 ? whole.rhythm.filter(isRecorded) : [] };
}

function place(recording: Recording, { speed, gain }: PaperSettings, arrangement: Arrangement, size: Size): Page {
  const { columns, rhythm } = arrangement;
  const { width, height } = size;
  const across = Math.floor((width - 2 * P.side) / P.square) * P.square;
  const up = Math.floor((height - P.top - P.bottom) / P.square) * P.square;
  const grid = { x: (width - across) / 2, y: P.bottom, width: across, height: up };
  const shown = Math.min(durationOf(recording), (across - P.lead_in - P.lead_out) / speed);
  const step = shown / columns.length;
  const strip = (name: string, row: number, start: number, end: number): Strip => {
    const number = LEADS.indexOf(name.replace("-", ""));
    const sign = name.startsWith("-") ? -1 : 1;
    const x = grid.x + P.lead_in + start * speed;
    const baseline = median(samples(recording, number, 0, shown).map(([, mv]) => mv));
    const at = ([s, mv]: Point): Point => [x + (s - start) * speed, sign * (mv - baseline) * gain];
    const trace = samples(recording, number, start, end).map(at);
    return { label: name.replace("-", "−"), row, start, x, present: recording.present[number], trace };
  };
  const strips = [
    ...columns.flatMap((names, k) => names.map((name, row) => strip(name, row, k * step, (k + 1) * step))),
    ...rhythm.map((name, row) => strip(name, columns[0].length + row, 0, shown)),
  ];
  const page = { width, height, grid, strips, baselines: Array<number>(columns[0].length + rhythm.length).fill(0) };
  return { ...page, baselines: baselinesOf(page, gain, speed / recording.rate) };
}

/** Times (s) and voltages (mV) of a lead's samples from start to end, both included. */
function samples({ signal, rate }: Recording, lead: number, start: number, end: number): Point[] {
  const [first, last] = [Math.ceil(start * rate - 1e-6), Math.floor(end * rate + 1e-6)];
  return Array.from(signal[lead].subarray(first, last + 1), (mv, i) => [(first + i) / rate, mv]);
}

function median(values: number[]): number {
  const sorted = Float64Array.from(values).sort();
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

/** Heights of the rows: spread evenly, or each as high as its waves need if they would meet and there is room. */
function baselinesOf(page: Page, gain: number, spacing: number): number[] {
  const { grid } = page;
  const rows = page.baselines.length;
  const { lowest, highest } = reach(page, spacing);
  const edges = (least: number) =>
    [Math.max(...highest[0], P.calibration_mv * gain), -Math.min(...lowest[rows - 1])].map((mm) =>
      Math.ceil(Math.min(Math.max(mm + 1, least), grid.height / 4)),
    );
  let [head, foot] = edges(grid.height / rows / 2);
  let room = grid.height - head - foot;
  let distances = Array<number>(rows - 1).fill(Math.floor(room / Math.max(rows - 1, 1)));
  const needed = distances.map((_, row) =>
    Math.ceil(Math.max(...highest[row + 1].map((high, column) => high - lowest[row][column])) + 1),
  );
  if (needed.some((mm, row) => mm > distances[row])) {
    const least = Math.min(P.least_row, distances[0]);
    const tight = edges(least / 2);
    const wanted = needed.map((mm) => Math.max(mm, least));
    const spare = grid.height - sum(tight) - sum(wanted);
    if (spare >= 0) {
      [head, foot] = tight;
      room = grid.height - head - foot;
      distances = wanted.map((mm) => mm + Math.floor(spare / (rows - 1)));
    }
  }
  const top = grid.y + grid.height - head - Math.floor((room - sum(distances)) / 2);
  return page.baselines.map((_, row) => top - sum(distances.slice(0, row)));
}

/** The lowest and highest y of each row from its baseline in columns of the page; infinite where it is empty. */
function reach(page: Page, spacing: number): { lowest: number[][]; highest: number[][] } {
  const width = Math.max(P.column, spacing); // no column between two samples
  const empty = (value: number) => page.baselines.map(() => Array(Math.floor(page.width / width) + 1).fill(value));
  const [lowest, highest] = [empty(Infinity), empty(-Infinity)];
  for (const { row, trace } of page.strips.filter((strip) => strip.present)) {
    for (const [i, [x]] of trace.entries()) {
      const column = Math.floor(x / width);
      for (const [, y] of trace.slice(Math.max(i - 1, 0), i + 2)) { // a line belongs to the columns of both its ends
        lowest[row][column] = Math.min(lowest[row][column], y);
        highest[row][column] = Math.max(highest[row][column], y);
      }
    }
  }
  return { lowest, highest };
}

/** Whether the trace of any row meets one of a row above it. */
function overlaps(page: Page, spacing: number): boolean {
  const { lowest, highest } = reach(page, spacing);
  const meets = (row: number, above: number) =>
    highest[row].some((high, k) => page.baselines[row] + high >= page.baselines[above] + lowest[above][k]);
  return page.baselines.some((_, row) => page.baselines.slice(0, row).some((_, above) => meets(row, above)));
}
