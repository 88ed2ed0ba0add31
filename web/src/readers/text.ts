/** Text and numbers out of bytes. */
import { printable, RecordingError } from "../recording";

/** UTF-16 by its mark, else UTF-8, else Latin-1, in which spreadsheets of the West write the sign of micro. */
export function decode(bytes: Uint8Array): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder("utf-16le").decode(bytes);
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return new TextDecoder("utf-16be").decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("latin1").decode(bytes);
  }
}

/** Bytes as characters, one each. */
export const latin1 = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes);

/** A number from a file's header. Throws RecordingError if it is none. */
export function numberFrom(text: string, what: string): number {
  const value = text.trim() ? Number(text) : NaN;
  if (!Number.isFinite(value)) {
    throw new RecordingError(`the file is damaged or against its format: ${what} is “${printable(text)}”, which is no number`);
  }
  return value;
}
