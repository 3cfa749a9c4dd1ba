/** Summation after Kahan with Neumaier's improvement, as Prometheus does it: an infinite sum has no compensation. */

export class KahanSum {
  sum: number;
  compensation: number;

  constructor(sum: number, compensation: number) {
    this.sum = sum;
    this.compensation = compensation;
  }

  add(x: number): void {
    const t = this.sum + x;
    this.compensation = isInfinite(t) ? 0 : this.compensation + lost(this.sum, x, t);
    this.sum = t;
  }
}

/** Adds `x` to `sums[i]`, what is lost to `compensations[i]`. */
export function compensate(sums: Float64Array, compensations: Float64Array, i: number, x: number): void {
  const sum = sums[i]!;
  const t = sum + x;
  compensations[i] = isInfinite(t) ? 0 : compensations[i]! + lost(sum, x, t);
  sums[i] = t;
}

/** What rounding took from sum + x = t. */
function lost(sum: number, x: number, t: number): number {
  return Math.abs(sum) >= Math.abs(x) ? sum - t + x : x - t + sum;
}

export function isInfinite(value: number): boolean {
  return value > Number.MAX_VALUE || value < -Number.MAX_VALUE;
}
