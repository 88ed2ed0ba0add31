/** Words and numbers as they stand on the page. */

const MARKS: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text as it may stand in HTML, in attributes too. */
export const escape = (text: string): string => text.replace(/[&<>"']/g, (mark) => MARKS[mark]);

/** Text from a file as it may stand in a message: printable and short. */
export function printable(text: unknown, limit = 60): string {
  const shown = String(text).slice(0, limit + 1).replace(/\p{C}|[\u2028\u2029]/gu, "?");
  return shown.length <= limit ? shown : `${shown.slice(0, limit - 3)}...`;
}

/** A number as Python's format `g` writes it. */
export const plain = (value: number): string => String(Number(value.toPrecision(6)));

/** A probability in percent, never shown as certain. */
export function percent(probability: number): string {
  if (probability < 0.01) return "< 1 %";
  return probability >= 0.995 ? "> 99 %" : `${(100 * probability).toFixed(0)} %`;
}

export const capitalised = (phrase: string): string => phrase.slice(0, 1).toUpperCase() + phrase.slice(1);

/** A reason as a sentence of its own. */
export const sentence = (text: string): string => `${capitalised(text).replace(/\.+$/, "")}.`;
