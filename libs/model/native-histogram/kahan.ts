/** Summation after Kahan with Neumaier's improvement, as Prometheus does it: an infinite sum has no compensation. */

export class KahanSum {
  sum: number;
  compensation: number;

  constructor(sum: number, compensation: number) {
    this.sum = sum;
    this.compensation = compensation;
  }

  add(x: number): void {
    const { sum } = this;
    const t = sum + x;
    if (isInfinite(t)) this.compensation = 0;
    else if (Math.abs(sum) >= Math.abs(x)) this.compensation += sum - t + x;
    else this.compensation += x - t + sum;
    this.sum = t;
  }
}

/** Adds `x` to `sums[i]`, what is lost to `compensations[i]`. */
export function compensate(sums: Float64Array, compensations: Float64Array, i: number, x: number): void {
  const sum = sums[i]!;
  const t = sum + x;
  if (isInfinite(t)) compensations[i] = 0;
  else if (Math.abs(sum) >= Math.abs(x)) compensations[i]! += sum - t + x;
  else compensations[i]! += x - t + sum;
  sums[i] = t;
}

export function isInfinite(value: number): boolean {
  return value > Number.MAX_VALUE || value < -Number.MAX_VALUE;
}
