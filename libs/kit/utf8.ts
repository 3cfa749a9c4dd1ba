/** Order of UTF-8 bytes: UTF-16 order, except that surrogates sort above U+E000…U+FFFF. */
export function compareUtf8(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

/**
 * Sorts in place by UTF-8 bytes. Without units from the surrogates on both orders are one: the engine's own takes half
 * the time of a sort that calls back.
 */
export function sortUtf8(texts: string[]): string[] {
  return texts.some((text) => /[\uD800-\uFFFF]/.test(text)) ? texts.sort(compareUtf8) : texts.sort();
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
