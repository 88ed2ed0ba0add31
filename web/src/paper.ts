/** An ECG on millimetre paper as SVG, in mm; as `ecg/plotting/draw.py`. */
import { layOut, type Page, type PaperSettings, type Strip } from "./layout";
import { durationOf, plain, type Recording } from "./recording";
import { tables } from "./tables";
import { escape } from "./text";

const P = tables.paper;
const mm = (value: number) => value.toFixed(2);

/** caption: above the grid. notice: at its foot. about: what it shows, for screen readers. total: s, of the whole recording. */
export interface PaperTexts {
  caption: string;
  notice: string;
  about: string;
  total: number;
}

/** The paper as an svg element whose units are mm, and its width in mm. */
export function drawPaper(recording: Recording, settings: PaperSettings, texts: PaperTexts): { svg: string; width: number } {
  const page = layOut(recording, settings);
  const { grid, width, height } = page;
  const y = (up: number) => height - up;
  const shown = plain(Number(durationOf(recording).toFixed(2)));
  const total = plain(Number(texts.total.toFixed(2)));
  const time = shown === total ? `${total} s` : `${shown} s of ${total} s`;
  const scale = `${settings.speed} mm/s · ${settings.gain} mm/mV · ${plain(recording.rate)} Hz · no filter · ${time}`;
  const line = (up: number, content: string, style: string) =>
    `<text class="${style}" x="${mm(grid.x)}" y="${mm(y(up))}">${escape(content)}</text>`;
  const svg =
    `<svg class="paper" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${mm(width)} ${mm(height)}" role="img" ` +
    `aria-label="${escape(texts.about)}"><rect class="sheet" width="${mm(width)}" height="${mm(height)}"/>` +
    `<svg x="${mm(grid.x)}" y="${mm(y(grid.y + grid.height))}" width="${grid.width}" height="${grid.height}">${gridLines(page)}` +
    `<g transform="translate(${mm(-grid.x)} ${mm(grid.y + grid.height - height)})">` +
    page.strips.filter((strip) => strip.present).map((strip) => traceOf(page, strip)).join("") +
    calibration(page, settings) +
    page.strips.map((strip) => leadLabel(page, strip)).join("") +
    `</g></svg>${line(height - P.top + 2.5, texts.caption, "caption")}${line(P.bottom - 4.5, scale, "scale")}` +
    `${line(P.bottom - 8.5, texts.notice, "notice")}</svg>`;
  return { svg, width };
}

function gridLines({ grid: { width, height } }: Page): string {
  const lines = (every: number) => {
    const path = [];
    for (let x = 0; x <= width; x += every) path.push(`M${x} 0V${height}`);
    for (let y = 0; y <= height; y += every) path.push(`M0 ${height - y}H${width}`);
    return path.join("");
  };
  return (
    `<rect class="ground" width="${width}" height="${height}"/>` +
    `<path class="fine" d="${lines(1)}"/><path class="strong" d="${lines(P.square)}"/>`
  );
}

/** Points of the page, y from the row's baseline, as a line. */
function polyline(page: Page, row: number, points: [number, number][]): string {
  const base = page.height - page.baselines[row];
  return `<polyline class="trace" points="${points.map(([x, y]) => `${mm(x)},${mm(base - y)}`).join(" ")}"/>`;
}

const traceOf = (page: Page, strip: Strip) => polyline(page, strip.row, strip.trace);

/** The calibration pulses (1 mV, 200 ms): one a row, or only the lowest if they touched. */
function calibration(page: Page, settings: PaperSettings): string {
  const high = P.calibration_mv * settings.gain;
  const end = page.grid.x + P.lead_in - P.square;
  const start = end - P.calibration_s * settings.speed;
  const closest = Math.min(...page.baselines.slice(1).map((y, row) => page.baselines[row] - y));
  const rows = [...page.baselines.keys()].slice(high < closest ? 0 : -1);
  const pulse: [number, number][] = [[start - 2, 0], [start, 0], [start, high], [end, high], [end, 0], [end + 2, 0]];
  return rows.map((row) => polyline(page, row, pulse)).join("");
}

/** The lead's name above the start of its strip, over the first wave as far as the row above allows. */
function leadLabel(page: Page, { lead, sign, row, x, start, present, trace }: Strip): string {
  const [roomAcross, roomUp] = P.lead_name;
  const near = present ? trace.filter(([at]) => at < x + roomAcross).map(([, y]) => y) : [];
  const above = row ? page.baselines[row - 1] - page.baselines[row] : Infinity;
  const top = page.grid.y + page.grid.height - roomUp - page.baselines[row];
  const up = page.height - page.baselines[row] - Math.min(Math.max(4, ...near) + 1, above - 2 - roomUp, top);
  const mark = start > 0 ? `<path class="change" d="M${mm(x)} ${mm(up + 0.6)}V${mm(up - roomUp + 0.3)}"/>` : "";
  return `${mark}<text class="lead" x="${mm(x + 1)}" y="${mm(up)}">${sign > 0 ? lead : `−${lead}`}</text>`;
}
