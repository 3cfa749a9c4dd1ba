/**
 * Order of texts with numbers in them: runs of digits as numbers, what is between them by bytes. The order is that of
 * Prometheus's `sort_by_label`, which puts the empty text last.
 */
import { compareUtf8 } from "#libs/kit/utf8.ts";

/** Negative when `a` comes first, 0 only when they are equal. */
export function compareNatural(a: string, b: string): number {
  if (a === b) return 0;
  const left = runsOf(a);
  const right = runsOf(b);
  for (let i = 0; i < left.length && i < right.length; i++) {
    const [x, y] = [left[i]!, right[i]!];
    const areNumbers = isNumber(x) && isNumber(y);
    if (areNumbers ? BigInt(x) !== BigInt(y) : x !== y) {
      if (areNumbers) return BigInt(x) < BigInt(y) ? -1 : 1;
      return compareUtf8(x, y);
    }
  }
  // One goes on where the other ends; of texts as long as each other, such as 1 and 01, the first stays first.
  if (left.length === 0) return 1;
  return left.length <= right.length ? -1 : 1;
}

function runsOf(text: string): string[] {
  return text.match(/\d+|\D+/g) ?? [];
}

/** Digits that fit 64 bits: longer ones are texts. */
function isNumber(run: string): boolean {
  return /^\d/.test(run) && BigInt(run) <= 0x7fff_ffff_ffff_ffffn;
}
