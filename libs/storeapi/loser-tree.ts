/**
 * Tournament of losers (Knuth vol. 3, 5.4.1): the smallest of k in log k comparisons after its value changed.
 * `#losers[n]` is the index that lost at node n; leaves are n = k … 2k - 1.
 */
export class LoserTree<T> {
  readonly #entries: readonly T[];
  readonly #compare: (a: T, b: T) => number;
  readonly #losers: Int32Array;
  #winner = 0;

  /** `entries` may change in place: only the winner, followed by `replay`. At least one. */
  constructor(entries: readonly T[], compare: (a: T, b: T) => number) {
    this.#entries = entries;
    this.#compare = compare;
    this.#losers = new Int32Array(Math.max(1, entries.length));
    this.#winner = this.#build(1);
  }

  get winner(): T {
    return this.#entries[this.#winner]!;
  }

  #build(node: number): number {
    const k = this.#entries.length;
    if (node >= k) return node - k;
    const left = this.#build(2 * node);
    const right = this.#build(2 * node + 1);
    const leftWins = this.#compare(this.#entries[left]!, this.#entries[right]!) <= 0;
    this.#losers[node] = leftWins ? right : left;
    return leftWins ? left : right;
  }

  /** Restores the order after the winner's entry changed. */
  replay(): void {
    let candidate = this.#winner;
    for (let node = (candidate + this.#entries.length) >>> 1; node >= 1; node >>>= 1) {
      const loser = this.#losers[node]!;
      if (this.#compare(this.#entries[loser]!, this.#entries[candidate]!) < 0) {
        this.#losers[node] = candidate;
        candidate = loser;
      }
    }
    this.#winner = candidate;
  }
}
