import { describe, expect, test } from "vitest";
import type { BlockMeta, BlockStats } from "../block/meta.ts";
import { exponentialRanges, mergedIdentity, planCompaction } from "./plan.ts";

const H = 3_600_000;
const RANGES = exponentialRanges(2 * H, 3, 3);

interface Extra {
  stats?: BlockStats;
  failed?: boolean;
  hints?: string[];
}

/** Times in hours. */
function meta(ulid: string, from: number, to: number, { stats, failed, hints }: Extra = {}): BlockMeta {
  return {
    ulid,
    minTime: from * H,
    maxTime: to * H,
    ...(stats && { stats }),
    compaction: { level: 1, sources: [ulid], ...(failed && { failed }), ...(hints && { hints }) },
    version: 1,
  };
}

test("ranges grow by their factor", () => {
  expect(RANGES).toEqual([2 * H, 6 * H, 18 * H]);
});

describe("planCompaction", () => {
  const check = (what: string, metas: BlockMeta[], want: string): void =>
    test(what, () => {
      const names = planCompaction(metas, RANGES).map(({ ulid }) => ulid);
      expect(names.join(" ")).toBe(want);
    });

  check("no blocks", [], "");
  check("one block", [meta("a", 0, 2)], "");
  check(
    "a full range waits while its last block is the newest",
    [meta("a", 0, 2), meta("b", 2, 4), meta("c", 4, 6)],
    "",
  );
  check(
    "a full range behind which there is a block",
    [meta("d", 6, 8), meta("a", 0, 2), meta("c", 4, 6), meta("b", 2, 4)],
    "a b c",
  );
  check(
    "a range with a gap that is over",
    [meta("a", 0, 2), meta("c", 4, 6), meta("d", 6, 8), meta("e", 8, 10)],
    "a c",
  );
  check("a range that is not over", [meta("a", 0, 2), meta("b", 2, 4), meta("c", 4, 6)], "");
  check("one block alone in its range stays", [meta("a", 0, 2), meta("d", 6, 8), meta("e", 8, 10)], "");
  check(
    "three ranges of 6 h become one of 18 h",
    [meta("a", 0, 6), meta("b", 6, 12), meta("c", 12, 18), meta("d", 18, 20)],
    "a b c",
  );
  check(
    "small ranges go before large ones",
    [
      meta("a", 0, 6),
      meta("b", 6, 12),
      meta("c", 12, 18),
      meta("d", 18, 20),
      meta("e", 20, 22),
      meta("f", 22, 24),
      meta("g", 24, 26),
    ],
    "d e f",
  );
  check(
    "blocks across the border of a range are left out",
    [meta("a", 4, 8), meta("b", 8, 10), meta("c", 10, 12), meta("d", 12, 14), meta("e", 14, 16)],
    "b c",
  );
  check(
    "a range with a block whose merge failed is left out",
    [meta("a", 0, 2), meta("b", 2, 4, { failed: true }), meta("c", 4, 6), meta("d", 6, 8)],
    "",
  );
  check(
    "times before 1970 are aligned downwards",
    [meta("a", -6, -4), meta("b", -4, -2), meta("c", -2, 0), meta("d", 0, 2)],
    "a b c",
  );
  check("overlapping blocks first, the newest too", [meta("a", 0, 2), meta("b", 2, 4), meta("c", 3, 5)], "b c");
  check(
    "the first run of overlapping blocks, through the longest",
    [meta("a", 0, 10), meta("b", 2, 4), meta("c", 6, 8), meta("d", 12, 14), meta("e", 13, 15)],
    "a b c",
  );
  check("blocks that touch do not overlap", [meta("a", 0, 2), meta("b", 2, 4)], "");
  check(
    "a large block with many tombstones",
    [meta("a", 0, 6, { stats: { numSeries: 99, numTombstones: 6 } }), meta("b", 6, 8)],
    "a",
  );
  check(
    "one in twenty is not many",
    [meta("a", 0, 6, { stats: { numSeries: 99, numTombstones: 5 } }), meta("b", 6, 8)],
    "",
  );
  check(
    "a small block is only rewritten when every series has a tombstone",
    [meta("a", 0, 2, { stats: { numSeries: 10, numTombstones: 9 } }), meta("b", 2, 4)],
    "",
  );
  check(
    "a small block of which nothing is left",
    [meta("a", 0, 2, { stats: { numSeries: 10, numTombstones: 10 } }), meta("b", 2, 4)],
    "a",
  );
  check(
    "blocks of a part of the head are merged only among each other, plain ones first",
    [
      meta("a", 0, 2),
      meta("s", 1, 2, { hints: ["from-stale-series"] }),
      meta("t", 1, 3, { hints: ["from-stale-series"] }),
      meta("b", 2, 4),
    ],
    "s t",
  );
  check(
    "out-of-order blocks are merged with those they overlap",
    [meta("a", 0, 2), meta("o", 0, 2, { hints: ["from-out-of-order"] }), meta("b", 2, 4)],
    "a o",
  );
});

test("a merged block has the range, sources and parents of all, and a level more than the highest", () => {
  const b = { ...meta("b", 2, 4), compaction: { level: 3, sources: ["b", "a"] } };
  expect(mergedIdentity([meta("c", 0, 3), b])).toEqual({
    minTime: 0,
    maxTime: 4 * H,
    compaction: {
      level: 4,
      sources: ["a", "b", "c"],
      parents: [
        { ulid: "c", minTime: 0, maxTime: 3 * H },
        { ulid: "b", minTime: 2 * H, maxTime: 4 * H },
      ],
    },
  });
});

test("a merged block is out of order when all were, of stale series when one was", () => {
  const hints = (...lists: string[][]): readonly string[] | undefined =>
    mergedIdentity(lists.map((list) => meta("x", 0, 2, { hints: list }))).compaction.hints;
  expect(hints(["from-out-of-order"], ["from-out-of-order"])).toEqual(["from-out-of-order"]);
  expect(hints(["from-out-of-order"], [])).toBeUndefined();
  expect(hints(["from-stale-series"], [])).toEqual(["from-stale-series"]);
});
