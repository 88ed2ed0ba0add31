/** Builds the page into dist/: `npm run build`. Networks and example ECGs are taken from ../artifacts or ARTIFACTS. */
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const artifacts = process.env.ARTIFACTS ?? join(here, "..", "artifacts");
const out = process.env.OUT ?? join(here, "dist");
const { examples } = JSON.parse(readFileSync(join(here, "src", "generated", "tables.json"), "utf8"));
// the first is needed; the page says which of the others this build lacks
const [main, ...others] = ["multilabel_best", "mi_best", "anylead_best", "multilabel_tiny"];
const networks = [main, ...others.filter((name) => existsSync(join(artifacts, `${name}.onnx`)))];
const networkFiles = networks.map((name) => `${name}.onnx`);
if (networks.includes("anylead_best")) networkFiles.push("anylead_thresholds.json");

rmSync(out, { recursive: true, force: true });
const copies = [
  [here, ".", ["index.html", "style.css", "icon.svg", "manifest.webmanifest"]],
  [join(here, "node_modules/onnxruntime-web/dist"), "ort", ["ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.mjs"]],
  [artifacts, "networks", networkFiles],
  [join(artifacts, "examples"), "examples", Object.keys(examples).flatMap((name) => [`${name}.hea`, `${name}.dat`])],
];
for (const [from, to, names] of copies) {
  mkdirSync(join(out, to), { recursive: true });
  for (const name of names) copyFileSync(join(from, name), join(out, to, name));
}

const options = { bundle: true, minify: true, format: "esm", target: "es2022", outdir: out, logLevel: "warning" };
await build({
  ...options,
  entryPoints: [join(here, "src", "main.ts")],
  conditions: ["onnxruntime-web-use-extern-wasm"], // the runtime's own file can then start threads
  define: { NETWORKS: JSON.stringify(networks) },
});
const files = readdirSync(out, { recursive: true }).filter((name) => statSync(join(out, name)).isFile()).sort();
const digest = createHash("sha256");
for (const name of files) digest.update(readFileSync(join(out, name)));
await build({
  ...options,
  entryPoints: [join(here, "src", "sw.js")],
  define: { FILES: JSON.stringify(["./", ...files]), VERSION: JSON.stringify(digest.digest("hex").slice(0, 12)) },
});
console.log(`${out}: ${files.length + 1} files, networks ${networks.join(", ")}`);
