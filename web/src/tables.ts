/** Everything the page shares with the Python code; `python -m tools.make_web_tables` writes it. */
import generated from "./generated/tables.json";

export const tables = generated;
export const LEADS = tables.leads;
export const limits = tables.limits;

/** An entry of a table by a name that may not be in it. */
export function lookUp<T>(table: Record<string, T>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
