/** Which format a file is in, by its content, and its recording; as `ecg/readers/formats.py`. */
import { assemble, type Channels, type Given, printable, type Recording, RecordingError } from "../recording";
import { limits } from "../tables";
import { isTable, readTable } from "./csv";
import { isEdf, readEdf } from "./edf";
import { isJson, readJson } from "./json";
import { isNpy, readNpy } from "./npy";
import { isHeader, readWfdb } from "./wfdb";

/** Names of files, without folders, and their content. */
export type Files = Map<string, Uint8Array>;

const ELSEWHERE =
  "This page reads WFDB format 16, CSV, NPY, EDF, Apple Health’s ECG and the server’s JSON. For other formats use the " +
  "Streamlit page (streamlit run app.py) or python predict.py FILE";

/** The recording in the files that were chosen or dropped. Throws RecordingError, whatever the bytes are. */
export function readFiles(files: Files, given: Given = {}): Recording {
  const size = [...files.values()].reduce((total, bytes) => total + bytes.length, 0);
  if (size > limits.maximum_bytes) {
    throw new RecordingError(`the recording is too large; at most ${limits.maximum_bytes / 1e6} MB are read`);
  }
  return assemble(readChannels(files, given));
}

function readChannels(files: Files, given: Given): Channels {
  const headers = [...files.keys()].filter((name) => isHeader(files.get(name)!));
  if (headers.length === 1) return readWfdb(headers[0], files, given);
  if (files.size !== 1) {
    const found = [...files.keys()].slice(0, 12).map((name) => printable(name)).join(", ");
    throw new RecordingError(`one recording at a time: a single file, or one .hea with its signal files; found ${found}`);
  }
  const [[name, bytes]] = files;
  if (!bytes.length) throw new RecordingError(`${printable(name)} is empty`);
  if (isEdf(bytes)) return readEdf(bytes, given);
  if (isNpy(bytes)) return readNpy(bytes, given);
  if (isJson(bytes)) return readJson(bytes, given);
  if (isTable(bytes)) return readTable(bytes, given);
  const alone = /\.dat$/i.test(name) ? "A signal file of a WFDB record needs its .hea beside it. " : "";
  throw new RecordingError(`${printable(name)} is in no format that is read here. ${alone}${ELSEWHERE}`);
}
