/** The page: an ECG on paper and the network's prediction, all in this browser. */
import { type Diagnosis, diagnose } from "./diagnosis";
import { loadNetwork, type Network } from "./network";
import { drawPaper } from "./paper";
import { type Files, readFiles } from "./readers/index";
import { DeclarationError, durationOf, leadsOf, type Recording, RecordingError, refuse } from "./recording";
import { LEADS, limits, lookUp, tables } from "./tables";
import { plain, sentence } from "./text";
import { factsHtml, predictionHtml, probabilitiesHtml, statementRowsHtml, warningsHtml } from "./view";

declare const NETWORKS: string[]; // that this build has; filled in by build.mjs

const [MAIN, TINY, ANY_LEADS, MI] = ["multilabel_best", "multilabel_tiny", "anylead_best", "mi_best"];
const TIMED_RUNS = 15;

/** What is on the page. files: what it was read from, to read it again with another rate or unit. */
type Shown = { title: string; notice: string; files: Files; recording?: Recording; diagnosis?: Diagnosis };

let shown: Shown = { title: "", notice: "", files: new Map() };
const loading = new Map<string, Promise<Network>>();
const byId = (id: string) => document.getElementById(id)!;
const input = (id: string) => byId(id) as HTMLInputElement;
const chosenOf = (name: string) => document.querySelector<HTMLInputElement>(`input[name=${name}]:checked`)!.value;

// -- an ECG is chosen

async function showExample(name: string): Promise<void> {
  const names = [`${name}.hea`, `${name}.dat`];
  const contents = names.map(async (file) => new Uint8Array(await (await fetch(`examples/${file}`)).arrayBuffer()));
  input("rate").value = input("unit").value = "";
  const title = `Example: ${lookUp<string>(tables.examples, name)!.toLowerCase()}`;
  const files = new Map((await Promise.all(contents)).map((bytes, i) => [names[i], bytes]));
  await show({ title, notice: "Generated ECG, not from a patient.", files });
}

async function showOwn(chosen: FileList): Promise<void> {
  const contents = [...chosen].map(async (file) => [file.name, new Uint8Array(await file.arrayBuffer())] as const);
  const files = new Map(await Promise.all(contents));
  const stems = new Set([...files.keys()].map((name) => name.replace(/\.\w+$/, "")));
  const title = stems.size === 1 && files.size > 1 ? [...stems][0] : [...files.keys()].join(", ");
  if (files.size) await show({ title, notice: "", files });
}

/** Reads, draws and diagnoses; whatever goes wrong is a sentence on the page. */
async function show(next: Shown): Promise<void> {
  shown = next;
  for (const id of ["error", "findings", "from"]) byId(id).hidden = true;
  for (const id of ["details", "prediction", "warnings", "paper", "facts"]) byId(id).replaceChildren();
  byId("title").textContent = next.title;
  try {
    const given = { rate: Number(input("rate").value) || undefined, unit: input("unit").value || undefined };
    next.recording = readFiles(next.files, given);
    input("start").value = "0";
    drawShown();
    const [network, forMI, label] = await networksFor(next.recording);
    const diagnosis = await diagnose(next.recording, network, forMI);
    if (shown === next) showDiagnosis(diagnosis, label); // no other ECG was chosen meanwhile
  } catch (error) {
    if (shown === next) fail(error as Error);
  }
}

function fail(error: Error): void {
  const isUndeclared = error instanceof DeclarationError;
  const what = error instanceof RecordingError ? "This ECG cannot be used" : "Something went wrong";
  const where = isUndeclared ? " Set or clear it under “My file does not state its rate or unit”." : "";
  byId("error").textContent = sentence(`${what}: ${error.message}`) + where;
  byId("error").hidden = false;
  if (isUndeclared) byId("given").setAttribute("open", "");
}

// -- prediction

/** A network of this build, loaded once. */
function load(name: string): Promise<Network> {
  const thresholds = name === ANY_LEADS ? "networks/anylead_thresholds.json" : undefined;
  if (!loading.has(name)) loading.set(name, loadNetwork(`networks/${name}`, thresholds));
  return loading.get(name)!;
}

/** The network for the leads there are, that for MI against NORM beside it, and what it is called. */
async function networksFor(recording: Recording): Promise<[Network, Network | undefined, string]> {
  const missing = LEADS.filter((_, row) => !recording.present[row]).join(", ");
  if (missing && !NETWORKS.includes(ANY_LEADS)) {
    const lacking = `this build of the page has no network for fewer than twelve leads (${ANY_LEADS}.onnx)`;
    refuse(`${lacking}, and these are missing: ${missing}; two of I, II, III are enough for the six limb leads`);
  }
  if (missing) return [await load(ANY_LEADS), undefined, "any leads"];
  if (chosenOf("network") === "tiny") return [await load(TINY), undefined, "tiny"];
  return [await load(MAIN), NETWORKS.includes(MI) ? await load(MI) : undefined, "main"];
}

function showDiagnosis(diagnosis: Diagnosis, network: string): void {
  shown.diagnosis = diagnosis;
  const pieces = { prediction: predictionHtml(diagnosis), bars: probabilitiesHtml(diagnosis) };
  const notes = { warnings: warningsHtml(diagnosis.warnings), facts: factsHtml(diagnosis, network) };
  for (const [id, html] of Object.entries({ ...pieces, ...notes })) byId(id).innerHTML = html;
  listStatements();
  byId("findings").hidden = false;
}

function listStatements(): void {
  const { statements = [] } = shown.diagnosis ?? {};
  byId("rows").innerHTML = statementRowsHtml(statements, input("search").value, input("group").value);
}

function download(): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(shown.diagnosis, null, 1)], { type: "application/json" }));
  link.download = `${shown.title.replace(/[^\p{L}\p{N}]/gu, "_").slice(0, 60)}.json`;
  link.click();
  URL.revokeObjectURL(link.href);
}

// -- paper

function drawShown(): void {
  const { recording, title, notice } = shown;
  if (!recording) return;
  const total = durationOf(recording);
  const length = limits.full_duration_s;
  byId("from").hidden = total <= length;
  input("start").max = String(total - length);
  const start = total <= length ? 0 : Number(input("start").value);
  byId("start-text").textContent = plain(start);
  const [first, last] = [start, start + length].map((s) => Math.round(s * recording.rate));
  const part = { ...recording, signal: recording.signal.map((row) => row.subarray(first, last)) };
  const arrangement = chosenOf("layout") + (input("cabrera").checked ? " Cabrera" : "");
  const settings = { arrangement, speed: Number(chosenOf("speed")), gain: Number(chosenOf("gain")) };
  const leads = leadsOf(recording);
  const which = leads.length === 1 ? `lead ${leads[0]}` : `${leads.length} leads`;
  const facts = [`${total.toFixed(0)} s`, `${plain(recording.rate)} Hz`, which, notice];
  byId("details").textContent = facts.filter(Boolean).join(" · ");
  const foot = `${notice} ${tables.sentences.research_only}`.trim();
  const about = `ECG, ${title}, ${leads.join(", ")}, ${arrangement}, ${settings.speed} mm/s, ${settings.gain} mm/mV`;
  const { svg, width } = drawPaper(part, settings, { caption: title, notice: foot, about, total });
  byId("paper").innerHTML = svg;
  byId("paper").style.setProperty("--mm", String(width));
}

// -- controls

function setUp(): void {
  const again = () => void show({ ...shown, recording: undefined, diagnosis: undefined });
  for (const id of ["layout", "speed", "gain"]) byId(id).addEventListener("change", drawShown);
  byId("network").addEventListener("change", again);
  const tiny = document.querySelector<HTMLInputElement>("input[value=tiny]")!;
  tiny.disabled = !NETWORKS.includes(TINY);
  tiny.parentElement!.title = tiny.disabled ? `${TINY}.onnx is not part of this build` : "";
  for (const [name, title] of Object.entries(tables.examples)) input("example").append(new Option(title, name));
  for (const group of tables.groups) input("group").append(new Option(group, group));
  input("example").addEventListener("change", () => void showExample(input("example").value).catch(fail));
  const own = async () => (await showOwn(input("files").files!), (input("files").value = ""));
  input("files").addEventListener("change", () => void own());
  for (const id of ["rate", "unit"]) byId(id).addEventListener("change", again);
  for (const id of ["cabrera", "start"]) byId(id).addEventListener("input", drawShown);
  for (const id of ["search", "group"]) byId(id).addEventListener("input", listStatements);
  byId("true-size").addEventListener("change", () => byId("paper").classList.toggle("true-size"));
  byId("print").addEventListener("click", () => print());
  byId("download").addEventListener("click", download);
  for (const type of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(type, (event) => {
      event.preventDefault();
      document.body.classList.toggle("dragging", type === "dragover");
      if (type === "drop") void showOwn((event as DragEvent).dataTransfer!.files);
    });
  }
}

/** Loads the other networks and keeps every file, so that from now on nothing is fetched; then measures the time. */
async function prepareOffline(): Promise<void> {
  await Promise.all(NETWORKS.map((name) => load(name)));
  await navigator.serviceWorker.register("sw.js");
  await navigator.serviceWorker.ready;
  byId("offline").textContent = "✓ Works offline now";
  const { recording } = shown;
  if (!recording?.present.every(Boolean)) return;
  const times: number[] = [];
  while (times.length < TIMED_RUNS) times.push((await diagnose(recording, await load(MAIN))).milliseconds);
  const median = times.sort((a, b) => a - b)[TIMED_RUNS >> 1].toFixed(1);
  byId("latency").textContent = `A 10-s ECG in this browser, median of ${TIMED_RUNS} runs: ${median} ms.`;
}

setUp();
for (const name of NETWORKS.slice(0, 2)) void load(name); // while the example is read and drawn
void showExample(input("example").value)
  .catch(fail)
  .then(prepareOffline)
  .catch(() => (byId("offline").textContent = "Not kept for use offline"));
