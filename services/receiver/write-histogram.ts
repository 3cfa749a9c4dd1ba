/**
 * Histogram messages of remote write, the same in both versions: prometheus.Histogram, io.prometheus.write.v2.Histogram.
 * A histogram is one of floats when its count is given as a float.
 */
import { BadRequestError } from "#libs/kit/errors.ts";
import {
  type Histogram,
  type HistogramSample,
  NO_BOUNDS,
  NO_SPANS,
  RESET_HINT,
  type ResetHint,
  type Span,
} from "#libs/model/histogram.ts";
import type { ProtoReader } from "./proto-reader.ts";

/** Reads the message. What it claims is not checked: see `validateHistogram`. @throws BadRequestError */
export function readHistogramMessage(message: ProtoReader): HistogramSample {
  const floats = new Float64Array(5);
  let count = 0n;
  let zeroCount = 0n;
  let isFloat = false;
  let schema = 0;
  let hint = 0;
  let time = 0;
  let start = 0;
  let positiveSpans: Span[] | undefined;
  let negativeSpans: Span[] | undefined;
  const lists: Lists = { floats: {}, differences: {} };
  for (let tag = message.tag(); tag !== 0; tag = message.tag()) {
    switch (tag) {
      case 0x08:
        count = message.uint64();
        isFloat = false;
        break;
      case 0x11:
        message.double(floats, COUNT);
        isFloat = true;
        break;
      case 0x19:
        message.double(floats, SUM);
        break;
      case 0x20:
        schema = message.sint32();
        break;
      case 0x29:
        message.double(floats, THRESHOLD);
        break;
      case 0x30:
        zeroCount = message.uint64();
        break;
      case 0x39:
        message.double(floats, ZERO_COUNT);
        break;
      case 0x42:
        (negativeSpans ??= []).push(readSpan(message.part()));
        break;
      case 0x5a:
        (positiveSpans ??= []).push(readSpan(message.part()));
        break;
      case 0x70:
        hint = Number(message.uint64());
        break;
      case 0x78:
        time = message.int64();
        break;
      case 0x88:
        start = message.int64();
        break;
      default:
        if (!readList(message, tag, lists)) message.skip(tag);
    }
  }
  const shape = {
    schema,
    zeroThreshold: floats[THRESHOLD]!,
    positiveSpans: positiveSpans ?? NO_SPANS,
    negativeSpans: negativeSpans ?? NO_SPANS,
    customValues: floatsOf(lists.floats[16]),
    counterResetHint: (hint <= RESET_HINT.GAUGE ? hint : RESET_HINT.UNKNOWN) as ResetHint,
    // As words: the sum may be a stale marker.
    sum: floats.slice(SUM, SUM + 1),
  };
  const histogram: Histogram = isFloat
    ? {
        ...shape,
        isFloat,
        totals: floats.slice(COUNT, COUNT + 2),
        positive: floatsOf(lists.floats[13]),
        negative: floatsOf(lists.floats[10]),
      }
    : {
        ...shape,
        isFloat,
        count,
        zeroCount,
        positive: absolute(lists.differences[12]),
        negative: absolute(lists.differences[9]),
      };
  return { time, start, histogram };
}

/** Places in `floats`: count and zero count lie as `totals` has them. */
const COUNT = 0;
const ZERO_COUNT = 1;
const SUM = 2;
const THRESHOLD = 3;

interface Lists {
  /** Bytes, by field. */
  readonly floats: Record<number, Buffer[]>;
  readonly differences: Record<number, bigint[]>;
}

function readSpan(message: ProtoReader): Span {
  let offset = 0;
  let length = 0;
  for (let tag = message.tag(); tag !== 0; tag = message.tag()) {
    if (tag === 0x08) offset = message.sint32();
    else if (tag === 0x10) length = Number(BigInt.asUintN(32, message.uint64()));
    else message.skip(tag);
  }
  return [offset, length];
}

/** The repeated numbers, packed or one by one: 9 and 12 differences, 10, 13 and 16 floats. */
function readList(message: ProtoReader, tag: number, { floats, differences }: Lists): boolean {
  const field = tag >>> 3;
  const isPacked = (tag & 7) === 2;
  if (field === 10 || field === 13 || field === 16) {
    if (!isPacked && (tag & 7) !== 1) return false;
    (floats[field] ??= []).push(isPacked ? doubles(message.part()) : message.take(8));
    return true;
  }
  if ((field !== 9 && field !== 12) || (!isPacked && (tag & 7) !== 0)) return false;
  const list = (differences[field] ??= []);
  if (!isPacked) list.push(message.sint64());
  else for (const part = message.part(); part.at < part.end;) list.push(part.sint64());
  return true;
}

function doubles(part: ProtoReader): Buffer {
  if ((part.end - part.at) % 8 !== 0) throw new BadRequestError("unexpected EOF");
  return part.take(part.end - part.at);
}

/** Bit for bit: a NaN's payload would be lost in numbers. */
function floatsOf(parts: readonly Buffer[] | undefined): Float64Array {
  if (parts === undefined) return NO_BOUNDS;
  const bytes = Buffer.concat(parts);
  const floats = new Float64Array(bytes.length / 8);
  new Uint8Array(floats.buffer).set(bytes);
  return floats;
}

/** Counts out of their differences, as Go adds them. */
function absolute(differences: readonly bigint[] | undefined): BigInt64Array {
  const counts = new BigInt64Array(differences?.length ?? 0);
  let sum = 0n;
  for (let i = 0; i < counts.length; i++) counts[i] = sum = BigInt.asIntN(64, sum + differences![i]!);
  return counts;
}
