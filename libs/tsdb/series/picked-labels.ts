/**
 * The label sets of a stream cut down to some names. Each distinct set is made once and given again as the same array:
 * who groups series by few labels compares ids instead of making strings (bench/query-head.ts: `sum by (rate)` over
 * 20,000 series left 40 % of its time to the collector before).
 */
import { type Labels, NO_LABELS } from "#libs/model/labels.ts";
import type { LabelSets } from "../head/label-sets.ts";

const UNKNOWN = 0;
const UNWANTED = 1;
const WANTED = 2;

/** Ids are below it: a stream has fewer symbols. */
const ID_END = 2 ** 27;

export class PickedLabels {
  readonly #names: ReadonlySet<string>;
  /** The stream's strings by id. */
  readonly #symbols: readonly string[];
  /** By id. */
  #wanted = new Uint8Array(1024);
  /** A trie: from a node by an id to the next. Node 0 is the empty set. */
  readonly #next = new Map<number, number>();
  /** The step last taken from a node: series in a row are alike. */
  readonly #lastId: number[] = [-1];
  readonly #lastNode: number[] = [0];
  /** By node, where a set ends there. */
  readonly #sets: (Labels | undefined)[] = [undefined];

  /** Of the list of names that came last, where those that are wanted are in it, and the labels of a set with it. */
  #lastList = -1;
  #places: readonly number[] = [];
  #placed = new Uint32Array(0);

  /** `symbols` may grow. */
  constructor(names: readonly string[], symbols: readonly string[]) {
    this.#names = new Set(names);
    this.#symbols = symbols;
  }

  /** The wanted ones of the labels `ids[from, to)`: name, value, name, value, … in the order they have there. */
  of(ids: Uint32Array, from: number, to: number): Labels {
    if (this.#names.size === 0) return NO_LABELS;
    let node = 0;
    for (let i = from; i < to; i += 2)
      if (this.#wants(ids[i]!)) node = this.#step(this.#step(node, ids[i]!), ids[i + 1]!);
    return (this.#sets[node] ??= this.#read(ids, from, to));
  }

  /** The same of a set in `sets`, which are those of the stream: where names are is looked up once for a list of them. */
  ofSet(sets: LabelSets, set: number): Labels {
    const names = sets.names(set);
    if (names !== this.#lastList) this.#enter(sets, names);
    const places = this.#places;
    const placed = this.#placed;
    for (let i = 0; i < places.length; i++) placed[2 * i + 1] = sets.value(set, places[i]!);
    return this.of(placed, 0, placed.length);
  }

  #enter(sets: LabelSets, names: number): void {
    const places: number[] = [];
    for (let k = 0, count = sets.count(names); k < count; k++) if (this.#wants(sets.name(names, k))) places.push(k);
    this.#lastList = names;
    this.#places = places;
    this.#placed = Uint32Array.from(places.flatMap((k) => [sets.name(names, k), 0]));
  }

  #wants(id: number): boolean {
    const known = this.#wanted[id] ?? UNKNOWN;
    if (known !== UNKNOWN) return known === WANTED;
    if (id >= this.#wanted.length) {
      const larger = new Uint8Array(Math.max(2 * this.#wanted.length, id + 1));
      larger.set(this.#wanted);
      this.#wanted = larger;
    }
    const isWanted = this.#names.has(this.#symbols[id]!);
    this.#wanted[id] = isWanted ? WANTED : UNWANTED;
    return isWanted;
  }

  #step(node: number, id: number): number {
    if (this.#lastId[node] === id) return this.#lastNode[node]!;
    const key = node * ID_END + id;
    let next = this.#next.get(key);
    if (next === undefined) {
      next = this.#sets.length;
      this.#next.set(key, next);
      this.#sets.push(undefined);
      this.#lastId.push(-1);
      this.#lastNode.push(0);
    }
    this.#lastId[node] = id;
    this.#lastNode[node] = next;
    return next;
  }

  #read(ids: Uint32Array, from: number, to: number): Labels {
    const out: string[] = [];
    for (let i = from; i < to; i += 2)
      if (this.#wants(ids[i]!)) out.push(this.#symbols[ids[i]!]!, this.#symbols[ids[i + 1]!]!);
    return out;
  }
}
