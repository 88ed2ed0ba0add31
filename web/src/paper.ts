/** An ECG on millimetre paper as SVG, in mm; as `ecg/plotting/draw.py`. */
import { layOut, type Page, type PaperSettings, type Point, type Strip } from "./layout";
import { durationOf, type Recording } from "./recording";
import { tables } from "./tables";
import { escape, plain } from "./text";

const P = tables.paper;
const mm = (value: number) => value.toFixed(2);

/** caption: above the grid. notice: at its foot. about: for screen readers. total: s, of the whole recording. */
export type PaperTexts = { caption: string; notice: string; about: string; total: number };

/** The paper as an svg element whose units are mm, and its width in mm. */
export function drawPaper(recording: Recording, settings: PaperSettings, texts: PaperTexts) {
  const page = layOut(recording, settings);
  const { grid, width, height } = page;
  const [shown, total] = [durationOf(recording), texts.total].map((s) => `${plain(Number(s.toFixed(2)))} s`);
  const scale = `${settings.speed} mm/s · ${settings.gain} mm/mV · ${plain(recording.rate)} Hz · no filter`;
  const line = (up: number, style: string, content: string) =>
    `<text class="${style}" x="${mm(grid.x)}" y="${mm(height - up)}">${escape(content)}</text>`;
  const svg =
    `<svg class="paper" viewBox="0 0 ${mm(width)} ${mm(height)}" role="img" aria-label="${escape(texts.about)}">` +
    `<rect class="sheet" width="${mm(width)}" height="${mm(height)}"/>` +
    `<svg x="${mm(grid.x)}" y="${mm(height - grid.y - grid.height)}" width="${grid.width}" height="${grid.height}">` +
    `${gridLines(page)}<g transform="translate(${mm(-grid.x)} ${mm(grid.y + grid.height - height)})">` +
    page.strips.map((strip) => (strip.present ? polyline(page, strip.row, strip.trace) : "")).join("") +
    calibration(page, settings) +
    page.strips.map((strip) => leadLabel(page, strip)).join("") +
    `</g></svg>${line(height - P.top + 2.5, "caption", texts.caption)}${line(P.bottom - 8.5, "notice", texts.notice)}` +
    `${line(P.bottom - 4.5, "scale", `${scale} · ${shown === total ? total : `${shown} of ${total}`}`)}</svg>`;
  return { svg, width };
}

function gridLines({ grid: { width, height } }: Page): string {
  const lines = (every: number) => {
    const across = Array.from({ length: Math.floor(width / every) + 1 }, (_, k) => `M${k * every} 0V${height}`);
    const up = Array.from({ length: Math.floor(height / every) + 1 }, (_, k) => `M0 ${height - k * every}H${width}`);
    return [...across, ...up].join("");
  };
  const ground = `<rect class="ground" width="${width}" height="${height}"/>`;
  return `${ground}<path class="fine" d="${lines(1)}"/><path class="strong" d="${lines(P.square)}"/>`;
}

/** Points of the page, y from the row's baseline, as a line. */
function polyline(page: Page, row: number, points: Point[]): string {
  const base = page.height - page.baselines[row];
  return `<polyline class="trace" points="${points.map(([x, y]) => `${mm(x)},${mm(base - y)}`).join(" ")}"/>`;
}

/** The calibration pulses (1 mV, 200 ms): one a row, or only the lowest if they touched. */
function calibration(page: Page, settings: PaperSettings): string {
  const high = P.calibration_mv * settings.gain;
  const end = page.grid.x + P.lead_in - P.square;
  const start = end - P.calibration_s * settings.speed;
  const closest = Math.min(...page.baselines.slice(1).map((y, row) => page.baselines[row] - y));
  const rows = [...page.baselines.keys()].slice(high < closest ? 0 : -1);
  const pulse: Point[] = [[start - 2, 0], [start, 0], [start, high], [end, high], [end, 0], [end + 2, 0]];
  return rows.map((row) => polyline(page, row, pulse)).join("");
}

/** The lead's name above the start of its strip, over the first wave as far as the row above allows. */
function leadLabel(page: Page, { label, row, x, start, present, trace }: Strip): string {
  const [roomAcross, roomUp] = P.lead_name;
  const near = present ? trace.filter(([at]) => at < x + roomAcross).map(([, y]) => y) : [];
  const above = row ? page.baselines[row - 1] - page.baselines[row] : Infinity;
  const top = page.grid.y + page.grid.height - roomUp - page.baselines[row];
  const y = page.height - page.baselines[row] - Math.min(Math.max(4, ...near) + 1, above - 2 - roomUp, top);
  const change = start > 0 ? `<path class="change" d="M${mm(x)} ${mm(y + 0.6)}V${mm(y - roomUp + 0.3)}"/>` : "";
  const missing = present ? "" : `<text x="${mm(x + 1)}" y="${mm(y + 5)}">not recorded</text>`;
  return `${change}<text class="lead" x="${mm(x + 1)}" y="${mm(y)}">${label}</text>${missing}`;
}
