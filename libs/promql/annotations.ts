/** Warnings and infos of a query: results, not errors. Equal texts count once. */
import type { Span } from "./parser/ast.ts";

const SHOWN_MAX = 10;

export class Annotations {
  readonly #query: string;
  readonly #warnings = new Set<string>();
  readonly #infos = new Set<string>();

  constructor(query: string) {
    this.#query = query;
  }

  warn(text: string, at?: Span): void {
    this.#warnings.add(at === undefined ? text : `PromQL warning: ${text} (${this.#position(at)})`);
  }

  info(text: string, at: Span): void {
    this.#infos.add(`PromQL info: ${text} (${this.#position(at)})`);
  }

  #position(span: Span): string {
    const lines = this.#query.slice(0, span.from).split("\n");
    return `${lines.length}:${Buffer.byteLength(lines.at(-1)!) + 1}`;
  }

  get warnings(): string[] {
    return shown(this.#warnings, "warning");
  }

  get infos(): string[] {
    return shown(this.#infos, "info");
  }
}

function shown(texts: ReadonlySet<string>, kind: string): string[] {
  const all = [...texts];
  if (all.length <= SHOWN_MAX) return all;
  return [...all.slice(0, SHOWN_MAX), `${all.length - SHOWN_MAX} more ${kind} annotations omitted`];
}
