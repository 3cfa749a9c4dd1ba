/**
 * Numbers by series ref, for a replay: refs of a head lie close together, so most are in an array, 3 ns a look-up where
 * a `Map` of 100,000 takes 30 (bench/figures.ts, opened from its log). Those far from the first are in a map.
 */
const NEAR = 1 << 20;
/** So many places of the array may be empty for each that is filled. */
const SPARSE = 16;

export class RefSlots {
  #base = -1;
  /** Plus one; 0 is none. */
  #near = new Int32Array(0);
  #count = 0;
  readonly #far = new Map<number, number>();

  /** Refs that were ever set. */
  get count(): number {
    return this.#count + this.#far.size;
  }

  /** The number of a ref, or -1. */
  get(ref: number): number {
    const i = ref - this.#base;
    const near = this.#near;
    if (i >= 0 && i < near.length && near[i] !== 0) return near[i]! - 1;
    return this.#far.size === 0 ? -1 : (this.#far.get(ref) ?? -1);
  }

  set(ref: number, slot: number): void {
    if (this.#base < 0) this.#base = ref;
    const i = ref - this.#base;
    if (i < 0 || i >= Math.max(NEAR, SPARSE * this.#count)) {
      this.#far.set(ref, slot);
      return;
    }
    if (i >= this.#near.length) {
      const larger = new Int32Array(Math.max(1024, 2 * i));
      larger.set(this.#near);
      this.#near = larger;
    }
    if (this.#near[i] === 0) this.#count++;
    this.#near[i] = slot + 1;
  }

  delete(ref: number): void {
    const i = ref - this.#base;
    if (i >= 0 && i < this.#near.length) this.#near[i] = 0;
    this.#far.delete(ref);
  }
}
