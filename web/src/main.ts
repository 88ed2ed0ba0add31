/** The page: an ECG on paper and the network's prediction, all in this browser. */
import { type Diagnosis, diagnose } from "./diagnosis";
import { loadNetwork, type Network } from "./network";
import { drawPaper } from "./paper";
import { type Files, readFiles } from "./readers/index";
import { DeclarationError, durationOf, leadsOf, plain, type Recording, RecordingError } from "./recording";
import { LEADS, limits, tables } from "./tables";
import { escape, sentence } from "./text";
import { factsHtml, predictionHtml, probabilitiesHtml, statementRowsHtml, warningsHtml } from "./view";

declare const NETWORKS: string[]; // that this build has; filled in by build.mjs

const NAMES = { main: "multilabel_best.onnx", tiny: "multilabel_tiny.onnx", anyLeads: "anylead_best.onnx", mi: "mi_best.onnx" };
const GENERATED = "Generated ECG, not from a patient.";
const STREAMLIT = "The Streamlit page (streamlit run app.py) or python predict.py FILE";

/** What is on the page. files: what it was read from, to read it again with another rate or unit. */
interface Shown {
  title: string;
  notice: string;
  files: Files;
  recording?: Recording;
  diagnosis?: Diagnosis;
}

let shown: Shown = { title: "", notice: "", files: new Map() };
const loading = new Map<string, Promise<Network>>();
const byId = <T extends HTMLElement = HTMLElement>(id: string): T => document.getElementById(id) as T;
const input = (id: string) => byId<HTMLInputElement>(id);

/** A network of this build, loaded once. */
function network(name: string): Promise<Network> {
  if (!loading.has(name)) loading.set(name, loadNetwork(`networks/${name}`));
  return loading.get(name)!;
}

// -- an ECG is chosen

async function showExample(name: string): Promise<void> {
  const names = [`${name}.hea`, `${name}.dat`];
  const contents = await Promise.all(names.map(async (file) => (await fetch(`examples/${file}`)).arrayBuffer()));
  const files = new Map(names.map((file, i) => [file, new Uint8Array(contents[i])]));
  const title = `Example: ${tables.examples[name as keyof typeof tables.examples].toLowerCase()}`;
  input("rate").value = input("unit").value = "";
  await show({ title, notice: GENERATED, files });
}

async function showOwn(chosen: FileList): Promise<void> {
  if (!chosen.length) return;
  const files: Files = new Map();
  for (const file of chosen) files.set(file.name, new Uint8Array(await file.arrayBuffer()));
  const stems = new Set([...files.keys()].map((name) => name.replace(/\.\w+$/, "")));
  await show({ title: files.size > 1 && stems.size === 1 ? [...stems][0] : [...files.keys()].join(", "), notice: "", files });
}

/** Reads, draws and diagnoses; whatever goes wrong is a sentence on the page. */
async function show(next: Shown): Promise<void> {
  shown = next;
  clear();
  try {
    const given = { rate: Number(input("rate").value) || undefined, unit: input("unit").value || undefined };
    const recording = readFiles(next.files, given);
    next.recording = recording;
    input("start").value = "0";
    drawShown();
    await diagnoseShown();
  } catch (error) {
    if (shown === next) fail(error);
  }
}

function fail(error: unknown): void {
  const refused = error instanceof RecordingError;
  if (!refused) console.error(error);
  const message = refused ? `This ECG cannot be used: ${error.message}` : `Something went wrong: ${(error as Error).message}`;
  const where = error instanceof DeclarationError ? " Set or clear it under “If your file does not state them”." : "";
  byId("error").textContent = sentence(message) + where;
  byId("error").hidden = false;
  if (where) byId("given").scrollIntoView({ block: "nearest" });
}

function clear(): void {
  byId("error").hidden = byId("findings").hidden = byId("from").hidden = true;
  byId("findings").hidden = true;
  for (const id of ["title", "details", "prediction", "warnings", "paper", "facts"]) byId(id).replaceChildren();
  byId("title").textContent = shown.title;
}

// -- prediction

/** The network for the leads there are. Throws RecordingError if this build has none. */
function networkFor(recording: Recording): { name: string; label: string } {
  const missing = LEADS.filter((_, row) => !recording.present[row]);
  if (!missing.length) {
    const tiny = chosenOf("network") === "tiny";
    return tiny ? { name: NAMES.tiny, label: "tiny" } : { name: NAMES.main, label: "main" };
  }
  if (!NETWORKS.includes(NAMES.anyLeads)) {
    throw new RecordingError(
      `lead ${missing.join(", ")} is missing, and this copy of the page was built without the network for fewer than ` +
        `twelve leads (${NAMES.anyLeads}). ${STREAMLIT} may have it`,
    );
  }
  return { name: NAMES.anyLeads, label: "any leads" };
}

async function diagnoseShown(): Promise<void> {
  const current = shown;
  const recording = current.recording!;
  const { name, label } = networkFor(recording);
  const mi = name === NAMES.main && NETWORKS.includes(NAMES.mi) ? await network(NAMES.mi) : undefined;
  const diagnosis = await diagnose(recording, await network(name), mi);
  if (shown !== current) return; // another ECG was chosen meanwhile
  current.diagnosis = diagnosis;
  byId("prediction").innerHTML = predictionHtml(diagnosis);
  byId("warnings").innerHTML = warningsHtml(diagnosis.warnings);
  byId("facts").innerHTML = factsHtml(diagnosis, label);
  byId("bars").innerHTML = probabilitiesHtml(diagnosis);
  listStatements();
  byId("findings").hidden = false;
}

function listStatements(): void {
  if (!shown.diagnosis) return;
  byId("rows").innerHTML = statementRowsHtml(shown.diagnosis.statements, input("search").value, input("group").value);
}

// -- paper

function drawShown(): void {
  const { recording, title, notice } = shown;
  if (!recording) return;
  const total = durationOf(recording);
  const slider = input("start");
  slider.max = String(total - limits.full_duration_s);
  byId("from").hidden = total <= limits.full_duration_s;
  const start = byId("from").hidden ? 0 : Number(slider.value);
  byId("start-text").textContent = plain(start);
  const first = Math.round(start * recording.rate);
  const last = first + Math.round(limits.full_duration_s * recording.rate);
  const part = { ...recording, signal: recording.signal.map((row) => row.subarray(first, last)) };
  const arrangement = chosenOf("layout") + (input("cabrera").checked ? " Cabrera" : "");
  const settings = { arrangement, speed: Number(chosenOf("speed")), gain: Number(chosenOf("gain")) };
  const facts = [`${total.toFixed(0)} s`, `${plain(recording.rate)} Hz`, `${leadsOf(recording).length} leads`, notice];
  byId("details").textContent = facts.filter(Boolean).join(" · ");
  const { svg, width } = drawPaper(part, settings, {
    caption: title,
    notice: `${notice} ${tables.sentences.research_only}`.trim(),
    about: `ECG, ${title}, leads ${leadsOf(recording).join(", ")}, ${arrangement}, ${settings.speed} mm/s, ${settings.gain} mm/mV`,
    total,
  });
  byId("paper").innerHTML = svg;
  byId("paper").style.setProperty("--mm", String(width));
}

// -- controls

const chosenOf = (name: string) => document.querySelector<HTMLInputElement>(`input[name=${name}]:checked`)!.value;

/** Radio buttons in a fieldset of the same name. options: value to label; values without a label say themselves. */
function offer(name: string, options: [string, string][], selected: string, changed: () => void): void {
  for (const [value, label] of options) {
    const isOn = value === selected ? " checked" : "";
    byId(name).insertAdjacentHTML(
      "beforeend",
      `<label class="segment"><input type="radio" name="${name}" value="${escape(value)}"${isOn}>${escape(label)}</label>`,
    );
  }
  byId(name).addEventListener("change", changed);
}

function setUp(): void {
  const same = (values: (string | number)[]): [string, string][] => values.map((value) => [String(value), String(value)]);
  offer("layout", same(tables.paper.layouts), "3x4", drawShown);
  offer("speed", same(tables.paper.speeds), "25", drawShown);
  offer("gain", same(tables.paper.gains), "10", drawShown);
  const again = () => void show({ ...shown, recording: undefined, diagnosis: undefined });
  offer("network", [["main", "Main"], ["tiny", "Tiny"]], "main", again);
  const tiny = document.querySelector<HTMLInputElement>("input[value=tiny]")!;
  tiny.disabled = !NETWORKS.includes(NAMES.tiny);
  if (tiny.disabled) tiny.parentElement!.title = `${NAMES.tiny} is not part of this build`;
  for (const [name, title] of Object.entries(tables.examples)) input("example").append(new Option(title, name));
  for (const group of tables.groups) input("group").append(new Option(group, group));
  input("example").addEventListener("change", () => void showExample(input("example").value).catch(fail));
  input("files").addEventListener("change", () => void showOwn(input("files").files!).then(() => (input("files").value = "")));
  for (const id of ["rate", "unit"]) input(id).addEventListener("change", again);
  for (const id of ["cabrera", "start"]) input(id).addEventListener("input", drawShown);
  input("true-size").addEventListener("change", () => byId("paper").classList.toggle("true-size", input("true-size").checked));
  for (const id of ["search", "group"]) input(id).addEventListener("input", listStatements);
  byId("print").addEventListener("click", () => print());
  byId("download").addEventListener("click", download);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", () => document.body.classList.remove("dragging"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    if (event.dataTransfer) void showOwn(event.dataTransfer.files);
  });
}

function download(): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(shown.diagnosis, null, 1)], { type: "application/json" }));
  link.download = `${shown.title.replace(/[^\p{L}\p{N}]/gu, "_").slice(0, 60)}.json`;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Keeps every file for later visits, and loads the other networks, so that nothing is fetched for a file. */
async function prepareOffline(): Promise<void> {
  const say = (text: string) => (byId("offline").textContent = text);
  await Promise.all(NETWORKS.map(network));
  if (!("serviceWorker" in navigator)) return void say("Ready. This browser cannot keep the page for use offline.");
  await navigator.serviceWorker.register("sw.js");
  await navigator.serviceWorker.ready;
  say("✓ Works offline now");
}

setUp();
void showExample(input("example").value)
  .catch(fail)
  .then(prepareOffline)
  .catch((error: Error) => {
    console.error(error);
    byId("offline").textContent = "Not kept for use offline";
  });
