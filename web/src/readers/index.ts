/** Which format a file is in, by its content, and its recording; as `ecg/readers/formats.py`. */
import { assemble, type Given, type Recording, refuse } from "../recording";
import { limits } from "../tables";
import { printable } from "../text";
import { isExport, readExport } from "./apple_health";
import { isTable, readTable } from "./csv";
import { isEdf, readEdf } from "./edf";
import { isJson, readJson } from "./json";
import { isNpy, readNpy } from "./npy";
import { ELSEWHERE } from "./text";
import { isHeader, readWfdb } from "./wfdb";

/** Names of files, without folders, and their content. */
export type Files = Map<string, Uint8Array>;

const JSON_OR_TABLE = [[isJson, readJson], [isTable, readTable]] as const;
const FORMATS = [[isEdf, readEdf], [isNpy, readNpy], [isExport, readExport], ...JSON_OR_TABLE] as const;

/** The recording in the files that were chosen or dropped. Throws RecordingError, whatever the bytes are. */
export function readFiles(files: Files, given: Given = {}): Recording {
  const size = [...files.values()].reduce((total, bytes) => total + bytes.length, 0);
  if (size > limits.maximum_bytes) {
    refuse(`the recording is too large; at most ${limits.maximum_bytes / 1e6} MB are read`);
  }
  const headers = [...files.keys()].filter((name) => isHeader(files.get(name)!));
  if (headers.length === 1) return assemble(readWfdb(headers[0], files, given));
  const found = [...files.keys()].slice(0, 12).map((name) => printable(name)).join(", ");
  if (files.size !== 1) {
    refuse(`one recording at a time: a single file, or one .hea with its signal files; found ${found}`);
  }
  const [bytes] = files.values();
  const [, read] = FORMATS.find(([recognises]) => bytes.length && recognises(bytes)) ?? [];
  if (read) return assemble(read(bytes, given));
  const alone = /\.dat$/i.test(found) ? "A signal file of a WFDB record needs its .hea beside it. " : "";
  return refuse(`${found} is ${bytes.length ? "in no format that is read here" : "empty"}. ${alone}${ELSEWHERE}`);
}
