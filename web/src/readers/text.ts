/** Text and numbers out of bytes. */
import { refuse } from "../recording";
import { printable } from "../text";

export const ELSEWHERE =
  "This page reads WFDB format 16, CSV, NPY, EDF, Apple Health’s ECG and the server’s JSON. For other formats use " +
  "the Streamlit page (streamlit run app.py) or python predict.py FILE";

export const isUTF16 = (bytes: Uint8Array): boolean => [0xfffe, 0xfeff].includes((bytes[0] << 8) | bytes[1]);

/** UTF-16 by its mark, else UTF-8, else Latin-1, in which spreadsheets of the West write the sign of micro. */
export function decode(bytes: Uint8Array): string {
  const encoding = isUTF16(bytes) && (bytes[0] === 0xff ? "utf-16le" : "utf-16be");
  try {
    return new TextDecoder(encoding || "utf-8", { fatal: !encoding }).decode(bytes);
  } catch {
    return latin1(bytes);
  }
}

/** Bytes as characters, one each; by the web's standard this is windows-1252. */
export const latin1 = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes);

/** A number from a file's header. Throws RecordingError if it is none. */
export function numberFrom(text: string, what: string): number {
  const value = text.trim() ? Number(text) : NaN;
  if (Number.isFinite(value)) return value;
  return refuse(`the file is damaged or against its format: ${what} is “${printable(text)}”, which is no number`);
}
