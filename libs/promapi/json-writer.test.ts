import fc from "fast-check";
import { expect, test } from "vitest";
import { formatValue } from "#libs/model/float.ts";
import { ABSENT, FLOAT, HISTOGRAM } from "#libs/promql/tile.ts";
import { JsonWriter, textsOf } from "./json-writer.ts";

const written = (write: (out: JsonWriter) => void): string => {
  const out = new JsonWriter();
  write(out);
  return new TextDecoder().decode(out.finish());
};

test("labels are what JSON.stringify makes of them", () => {
  const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.string({ minLength: 60, maxLength: 70 }));
  fc.assert(
    fc.property(fc.array(text, { maxLength: 12 }), (texts) => {
      const labels = texts.slice(0, texts.length - (texts.length % 2));
      const pairs = labels.flatMap((name, i) =>
        i % 2 === 0 ? [`${JSON.stringify(name)}:${JSON.stringify(labels[i + 1])}`] : [],
      );
      expect(written((out) => out.labels(labels))).toBe(`{${pairs.join(",")}}`);
    }),
  );
});

test("values are those of formatValue", () => {
  const close = fc.tuple(fc.integer(), fc.integer({ min: 0, max: 4 })).map(([n, digits]) => n / 10 ** digits);
  const edges = fc.constantFrom(0, -0, NaN, Infinity, 2 ** 31, 2 ** 31 - 1, -(2 ** 31), 2_097_151.999, 1e21, 5e-324);
  fc.assert(
    fc.property(fc.oneof(fc.double(), close, edges), (value) => {
      expect(written((out) => out.sampleValue(value))).toBe(`"${formatValue(value)}"`);
    }),
  );
});

test("floats of a row stand behind their stamps, the others are left out", () => {
  const stamp = fc.integer({ min: 0, max: 1e12 }).map((n) => `[${n},`);
  const cell = fc.tuple(stamp, fc.constantFrom(ABSENT, FLOAT, HISTOGRAM), fc.double());
  fc.assert(
    fc.property(fc.array(cell, { maxLength: 200 }), fc.nat(3), (cells, from) => {
      const present = new Uint8Array(from + cells.length);
      const values = new Float64Array(from + cells.length);
      cells.forEach(([, kind, value], i) => {
        present[from + i] = kind;
        values[from + i] = value;
      });
      const want = cells.flatMap(([text, kind, value]) => (kind === FLOAT ? [`${text}"${formatValue(value)}"]`] : []));
      const stamps = textsOf(cells.map(([text]) => text));
      expect(written((out) => out.floats(stamps, present, values, from))).toBe(want.join(","));
    }),
  );
});
