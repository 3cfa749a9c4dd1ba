import { expect, test } from "vitest";
import { labelsFrom as labelsOf } from "#libs/model/labels.ts";
import { seeded } from "../../../test/support/write.ts";
import { LabelSets } from "../head/label-sets.ts";
import { FrameBuilder, FrameReader, labelsFrom as startOf, seriesCount } from "./frame.ts";
import { PickedLabels } from "./picked-labels.ts";

test("label sets are cut down as a filter would, and equal ones are one array, over all frames of a stream", () => {
  const random = seeded(3);
  const some = (n: number): string => String(Math.floor(random() * n));
  for (const names of [[], ["b"], ["a", "c"], ["a", "b", "c", "d"], ["other"]]) {
    const builder = new FrameBuilder();
    const reader = new FrameReader();
    const picked = new PickedLabels(names, reader.symbols);
    const seen = new Map<string, readonly string[]>();
    for (let frames = 0; frames < 5; frames++) {
      const want: string[][] = [];
      for (let s = 0; s < 300; s++) {
        // Names that are values, too; labels that are missing; many symbols.
        const labels = labelsOf([
          ["a", some(3) === "0" ? "" : some(4)],
          ["b", some(2) === "0" ? "a" : "c"],
          ["c", some(500)],
          ["d", some(2) === "0" ? "b" : ""],
        ]);
        builder.labels(labels);
        builder.endSeries();
        want.push(labels.flatMap((name, i) => (i % 2 === 0 && names.includes(name) ? [name, labels[i + 1]!] : [])));
      }
      const frame = builder.take();
      reader.enter(frame);
      for (let s = 0; s < seriesCount(frame); s++) {
        const got = picked.of(frame.labels, startOf(frame, s), frame.labelEnds[s]!);
        expect(got).toEqual(want[s]);
        const key = got.join();
        expect(got).toBe(seen.get(key) ?? got);
        seen.set(key, got);
      }
    }
  }
});

test("sets of a head are cut down as those of a frame, whichever lists of names they have", () => {
  const random = seeded(4);
  const symbols = Array.from({ length: 40 }, (_, id) => `s${id}`);
  const sets = new LabelSets(1);
  const picked = new PickedLabels(["s1", "s3", "s5"], symbols);
  const seen = new Map<string, readonly string[]>();
  for (let n = 0; n < 500; n++) {
    const names = [0, 1, 2, 3, 4, 5].filter(() => random() < 0.6);
    const ids = names.flatMap((name) => [name, Math.floor(random() * 4)]);
    const want = names.flatMap((name, k) => (name % 2 === 1 ? [symbols[name]!, symbols[ids[2 * k + 1]!]!] : []));
    const got = picked.ofSet(sets, sets.add(ids));
    expect(got).toEqual(want);
    expect(got).toBe(seen.get(want.join()) ?? got);
    seen.set(want.join(), got);
  }
  expect(seen.size).toBeGreaterThan(50);
});
