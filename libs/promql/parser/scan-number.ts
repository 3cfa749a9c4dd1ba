/**
 * Where a number or duration ends. Which texts are taken, and how much of a refused one an error shows, is
 * Prometheus's: `0.5.5` and `1e5m` are taken here and refused when they are read, `0x1e` is refused here.
 */

const DECIMAL_DIGITS = "0123456789";
const HEX_DIGITS = "0123456789abcdefABCDEF";

/** @returns the end of the number that starts at `from`; ~end of what was looked at when it is none. */
export function scanNumber(text: string, from: number): number {
  let at = from;
  const is = (set: string): boolean => at < text.length && set.includes(text[at]!);
  const accept = (set: string): boolean => {
    const found = is(set);
    if (found) at++;
    return found;
  };
  let digits = DECIMAL_DIGITS;
  if (accept("0") && accept("xX")) {
    accept("_");
    digits = HEX_DIGITS;
  }
  accept(".");
  accept(digits);
  let dotSeen = false;
  let exponentSeen = false;
  while (is(digits) || is("._eE")) {
    if ((dotSeen && accept(".")) || (exponentSeen && accept("eE"))) return ~at;
    if (accept(".")) {
      dotSeen = true;
      if (accept("_.") || digits === HEX_DIGITS) return ~at;
    } else if (accept("eE")) {
      exponentSeen = true;
      accept("+-");
      if (accept("._eE") || at === text.length) return ~at;
    } else if (accept("_")) {
      if (accept("._eE") || at === text.length) return ~at;
    } else {
      while (accept(digits));
    }
  }
  return isAlphanumeric(text, at) ? ~at : at;
}

/** The rest of a duration whose first number ends at `from`; ~end as above. */
export function scanDurationTail(text: string, from: number): number {
  let at = from;
  const accept = (set: string): boolean => {
    const found = at < text.length && set.includes(text[at]!);
    if (found) at++;
    return found;
  };
  if (!accept("smhdwy")) return ~at;
  accept("s");
  while (accept(DECIMAL_DIGITS)) {
    while (accept(DECIMAL_DIGITS));
    if (!accept("smhdw")) return ~at;
    accept("s");
  }
  return isAlphanumeric(text, at) ? ~(at + 1) : at;
}

function isAlphanumeric(text: string, at: number): boolean {
  return at < text.length && /[a-zA-Z0-9_]/.test(text[at]!);
}
