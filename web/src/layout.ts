/** Where everything goes on a page of ECG paper, in mm from its lower left corner; as `ecg/plotting/layout.py`. */
import { durationOf, type Recording } from "./recording";
import { LEADS, tables } from "./tables";

const P = tables.paper;

/** arrangement: a key of the table. speed: mm/s. gain: mm/mV. */
export interface PaperSettings {
  arrangement: string;
  speed: number;
  gain: number;
}

export interface Strip {
  lead: string;
  sign: number;
  row: number;
  start: number;
  end: number;
  x: number;
  baseline: number; // mV, the lead's median
  present: boolean;
  trace: [number, number][]; // x from the page's edge, y from the row's baseline
}

export interface Page {
  width: number;
  height: number;
  grid: { x: number; y: number; width: number; height: number };
  strips: Strip[];
  baselines: number[];
  shown: number; // s
}

interface Arrangement {
  columns: string[][];
  rhythm: string[];
}

/** A page that shows all of a recording, as high as its traces need so as not to overlap. */
export function layOut(recording: Recording, settings: PaperSettings): Page {
  const { arrangement, height } = arranged(recording, settings.arrangement);
  const width = Math.max(160, P.margin + durationOf(recording) * settings.speed);
  const least = height * Math.max(1, settings.gain / 12);
  const pages = P.growth.map((growth) => place(recording, settings, arrangement, width, growth * least));
  return pages.find((page) => !overlaps(page, settings)) ?? pages[0];
}

/** The leads on the page; where some were not recorded, only those that were, one below the other. */
function arranged(recording: Recording, name: string): { arrangement: Arrangement; height: number } {
  if (recording.present.every(Boolean)) {
    const height = P.screen_heights[name.split(" ")[0] as keyof typeof P.screen_heights];
    return { arrangement: P.arrangements[name as keyof typeof P.arrangements], height };
  }
  const recorded = (lead: string) => recording.present[LEADS.indexOf(lead.replace("-", ""))];
  const order = P.arrangements[name.includes("Cabrera") ? "12x1 Cabrera" : "12x1"].columns.flat();
  const column = order.filter(recorded);
  return { arrangement: { columns: [column], rhythm: [] }, height: P.top + P.bottom + 15 + 20 * column.length };
}

function place(recording: Recording, settings: PaperSettings, arrangement: Arrangement, width: number, height: number): Page {
  const across = Math.floor((width - 2 * P.side) / P.square) * P.square;
  const up = Math.floor((height - P.top - P.bottom) / P.square) * P.square;
  const grid = { x: (width - across) / 2, y: P.bottom, width: across, height: up };
  const shown = Math.min(durationOf(recording), (across - P.lead_in - P.lead_out) / settings.speed);
  const { columns, rhythm } = arrangement;
  const step = shown / columns.length;
  const places = columns.flatMap((names, column) =>
    names.map((name, row) => ({ name, row, start: column * step, end: (column + 1) * step })),
  );
  places.push(...rhythm.map((name, row) => ({ name, row: columns[0].length + row, start: 0, end: shown })));
  const strips = places.map(({ name, row, start, end }) => {
    const lead = name.replace("-", "");
    const number = LEADS.indexOf(lead);
    const x = grid.x + P.lead_in + start * settings.speed;
    const baseline = median(samples(recording, number, 0, shown).map(([, mv]) => mv));
    const sign = name === lead ? 1 : -1;
    const trace = samples(recording, number, start, end).map(([s, mv]): [number, number] => [
      x + (s - start) * settings.speed,
      sign * (mv - baseline) * settings.gain,
    ]);
    return { lead, sign, row, start, end, x, baseline, present: recording.present[number], trace };
  });
  const page = { width, height, grid, strips, baselines: [] as number[], shown };
  page.baselines = baselinesOf(page, settings, columns[0].length + rhythm.length);
  return page;
}

/** Times (s) and voltages (mV) of a lead's samples from start to end, both included. */
function samples(recording: Recording, lead: number, start: number, end: number): [number, number][] {
  const first = Math.ceil(start * recording.rate - 1e-6);
  const last = Math.floor(end * recording.rate + 1e-6);
  return Array.from(recording.signal[lead].subarray(first, last + 1), (mv, i) => [(first + i) / recording.rate, mv]);
}

function median(values: number[]): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Heights of the rows: spread evenly, or each as high as its waves need if they would meet and there is room. */
function baselinesOf(page: Page, settings: PaperSettings, rows: number): number[] {
  const { grid } = page;
  const { lowest, highest } = reach(page, rows, settings);
  const clip = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high);
  const edges = (least: number) =>
    [Math.max(...highest[0], P.calibration_mv * settings.gain), -Math.min(...lowest[rows - 1])].map((mm) =>
      Math.ceil(clip(mm + 1, least, grid.height / 4)),
    );
  let [head, foot] = edges(grid.height / rows / 2);
  if (rows === 1) return [grid.y + grid.height - Math.round((grid.height + head - foot) / 2)];
  let room = grid.height - head - foot;
  let distances = Array<number>(rows - 1).fill(Math.floor(room / (rows - 1)));
  const needed = distances.map((_, row) =>
    Math.ceil(Math.max(...highest[row + 1].map((high, column) => high - lowest[row][column])) + 1),
  );
  if (needed.some((mm, row) => mm > distances[row])) {
    const least = Math.min(P.least_row, distances[0]);
    const tight = edges(least / 2);
    const tightRoom = grid.height - tight[0] - tight[1];
    const wanted = needed.map((mm) => Math.max(mm, least));
    const spare = tightRoom - sum(wanted);
    if (spare >= 0) {
      [head, foot] = tight;
      room = tightRoom;
      distances = wanted.map((mm) => mm + Math.floor(spare / (rows - 1)));
    }
  }
  const top = grid.y + grid.height - head - Math.floor((room - sum(distances)) / 2);
  return [0, ...distances].map((_, row) => top - sum(distances.slice(0, row)));
}

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);

/** The lowest and highest y of each row from its baseline in columns of the page; infinite where it is empty. */
function reach(page: Page, rows: number, settings: PaperSettings): { lowest: number[][]; highest: number[][] } {
  const spacing = page.strips[0].trace.length > 1 ? page.strips[0].trace[1][0] - page.strips[0].trace[0][0] : 0;
  const width = Math.max(P.column, spacing, settings.speed / 1000); // no column between two samples
  const empty = (value: number) => Array.from({ length: rows }, () => Array<number>(Math.floor(page.width / width) + 1).fill(value));
  const [lowest, highest] = [empty(Infinity), empty(-Infinity)];
  for (const strip of page.strips.filter((one) => one.present)) {
    strip.trace.forEach(([x], i) => {
      const column = Math.floor(x / width);
      for (const [, y] of strip.trace.slice(Math.max(i - 1, 0), i + 2)) { // a line belongs to the columns of both its ends
        lowest[strip.row][column] = Math.min(lowest[strip.row][column], y);
        highest[strip.row][column] = Math.max(highest[strip.row][column], y);
      }
    });
  }
  return { lowest, highest };
}

/** Whether the trace of any row meets one of a row above it. */
function overlaps(page: Page, settings: PaperSettings): boolean {
  const { lowest, highest } = reach(page, page.baselines.length, settings);
  return page.baselines.some((y, row) =>
    highest[row].some((high, column) =>
      page.baselines.slice(0, row).some((above, k) => y + high >= above + lowest[k][column]),
    ),
  );
}
