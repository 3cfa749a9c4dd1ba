/**
 * A series' key (key-table.ts) as its difference from another: steps of
 *
 *   same u8 │ own u8 │ passed u8 │ own bytes
 *
 * each of which takes `same` bytes of the other key, then its own, and passes over `passed` of the other. Labels that
 * both have are found by going through both in order. Of bytes that are no labels only the size suffers.
 */
const STEP_BYTES = 3;
const STEP_MAX = 0xff;

/** Bytes in memory that others share: `view[from, to)`. */
export interface Key {
  readonly view: DataView;
  readonly from: number;
  readonly to: number;
}

/** Writes the difference of `key[from, to)` from another to `out[at, atMax)`. @returns its end; -1 when it does not fit. */
export function writeDifference(
  out: DataView,
  at: number,
  atMax: number,
  key: DataView,
  from: number,
  to: number,
  other: Key,
): number {
  let same = 0;
  /** Where bytes begin that the other has not, and those that are passed over. */
  let own = from;
  let passed = other.from;
  let j = other.from;
  for (let i = from; i < to && at >= 0;) {
    const end = labelEnd(key, i, to);
    const isCommon = j + end - i <= other.to && isSame(key, i, other.view, j, end - i);
    const order = isCommon ? 0 : j === other.to ? -1 : compareNames(key, i, end, other.view, j, other.to);
    // With equal lengths, a label is worth a step of its own, which begins behind its name.
    const beginsSame =
      isCommon || (order === 0 && Math.min(end - i, other.to - j) >= 4 && isSame(key, i, other.view, j, 4));
    if (beginsSame && (own < i || passed < j)) {
      at = writeStep(out, at, atMax, same, key, own, i, other.view, passed, j);
      same = 0;
      own = i;
      passed = j;
    }
    if (isCommon) {
      same += end - i;
      j += end - i;
      own = i = end;
      passed = j;
    } else {
      if (order <= 0) i = end;
      if (order >= 0) j = labelEnd(other.view, j, other.to);
    }
  }
  return at < 0 ? -1 : writeStep(out, at, atMax, same, key, own, to, other.view, passed, j);
}

/** @returns where the next is to be written, -1 when it does not fit. */
function writeStep(
  out: DataView,
  at: number,
  atMax: number,
  same: number,
  key: DataView,
  own: number,
  ownEnd: number,
  other: DataView,
  passed: number,
  passedEnd: number,
): number {
  while (own < ownEnd && passed < passedEnd && key.getUint8(own) === other.getUint8(passed)) {
    same++;
    own++;
    passed++;
  }
  do {
    const sameNow = Math.min(same, STEP_MAX);
    same -= sameNow;
    const ownNow = same === 0 ? Math.min(ownEnd - own, STEP_MAX) : 0;
    const passedNow = same === 0 && ownEnd - own === ownNow ? Math.min(passedEnd - passed, STEP_MAX) : 0;
    if (at + STEP_BYTES + ownNow > atMax) return -1;
    out.setUint8(at, sameNow);
    out.setUint8(at + 1, ownNow);
    out.setUint8(at + 2, passedNow);
    at += STEP_BYTES;
    passed += passedNow;
    for (let k = 0; k < ownNow; k++) out.setUint8(at++, key.getUint8(own++));
  } while (same > 0 || own < ownEnd || passed < passedEnd);
  return at;
}

/** Of the label at `at`. */
function labelEnd(bytes: DataView, at: number, to: number): number {
  let length = 0;
  let i = at + 1;
  for (let scale = 1; i < to && scale <= 0x200000; scale *= 128) {
    const byte = bytes.getUint8(i++);
    length += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
  }
  return Math.min(i + length, to);
}

/** Order of the labels at `at` and `bAt` by name, 0 when it is the same. */
function compareNames(a: DataView, at: number, to: number, b: DataView, bAt: number, bTo: number): number {
  let i = nameOf(a, at, to);
  let j = nameOf(b, bAt, bTo);
  // The byte behind a name is less than those of names, so that they need no lengths.
  for (; i < to && j < bTo; i++, j++) {
    const byte = a.getUint8(i);
    if (byte !== b.getUint8(j)) return byte - b.getUint8(j);
    if (byte === NAME_END) return 0;
  }
  return 0;
}

const NAME_END = 0x12;

/** Where the name of the label at `at` begins. */
function nameOf(bytes: DataView, at: number, to: number): number {
  let i = at + 1;
  while (i < to && bytes.getUint8(i) >= 0x80) i++;
  i += 2;
  while (i < to && bytes.getUint8(i) >= 0x80) i++;
  return i + 1;
}

/** Writes the key of `length` bytes that `difference`, from `at` on, has from `other`, from `otherAt` on, to `target`. */
export function readWhole(
  difference: DataView,
  at: number,
  other: DataView,
  otherAt: number,
  target: DataView,
  length: number,
): void {
  for (let k = 0; k < length;) {
    const same = difference.getUint8(at);
    const own = difference.getUint8(at + 1);
    const passed = difference.getUint8(at + 2);
    at += STEP_BYTES;
    for (let i = 0; i < same; i++) target.setUint8(k++, other.getUint8(otherAt++));
    for (let i = 0; i < own; i++) target.setUint8(k++, difference.getUint8(at++));
    otherAt += passed;
  }
}

/** Whether that key is `key[from, to)`, which is as long. */
export function isWhole(
  difference: DataView,
  at: number,
  other: DataView,
  otherAt: number,
  key: DataView,
  from: number,
  to: number,
): boolean {
  for (let k = from; k < to;) {
    const same = difference.getUint8(at);
    const own = difference.getUint8(at + 1);
    const passed = difference.getUint8(at + 2);
    at += STEP_BYTES;
    // What is its own first: others of the target have the rest too.
    if (!isSame(difference, at, key, k + same, own) || !isSame(other, otherAt, key, k, same)) return false;
    at += own;
    otherAt += same + passed;
    k += same + own;
  }
  return true;
}

/** Whether two ranges of `length` bytes are the same. */
export function isSame(a: DataView, at: number, b: DataView, bAt: number, length: number): boolean {
  if (length < 4) {
    for (let i = 0; i < length; i++) if (a.getUint8(at + i) !== b.getUint8(bAt + i)) return false;
    return true;
  }
  const last = length - 4;
  for (let i = 0; i < last; i += 4) if (a.getInt32(at + i, true) !== b.getInt32(bAt + i, true)) return false;
  // It may overlap the one before.
  return a.getInt32(at + last, true) === b.getInt32(bAt + last, true);
}
