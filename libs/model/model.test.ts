import fc from "fast-check";
import { RE2JS } from "re2js";
import { describe, expect, test } from "vitest";
import { compareUtf8, sortUtf8 } from "#libs/kit/utf8.ts";
import { formatE, formatG, formatPlain, formatValue, parseGoFloat } from "./float.ts";
import { compareLabels, formatLabels, labelsFrom, labelsKey, withLabel } from "./labels.ts";
import { compileAnchored, createMatcher } from "./matcher.ts";
import { isStale, setStale } from "./stale.ts";
import { parseTenant, tenantOf } from "./tenant.ts";

test("strings order as their UTF-8 bytes", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (a, b) => {
      expect(Math.sign(compareUtf8(a, b))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))));
    }),
  );
  expect(compareUtf8("\uFFFD", "\u{1F600}")).toBeLessThan(0);
});

test("texts are sorted as their UTF-8 bytes", () => {
  const text = fc.oneof(fc.string({ unit: "grapheme", maxLength: 3 }), fc.string({ maxLength: 3 }));
  const inBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
  fc.assert(
    fc.property(fc.array(text), (texts) => {
      expect(sortUtf8([...texts])).toEqual(texts.toSorted(inBytes));
    }),
  );
  expect(sortUtf8(["\u{1F600}", "\uFFFD"])).toEqual(["\uFFFD", "\u{1F600}"]);
});

describe("labels", () => {
  test("sorted, without empty values", () => {
    expect(
      labelsFrom([
        ["b", "1"],
        ["a", "2"],
        ["c", ""],
      ]),
    ).toEqual(["a", "2", "b", "1"]);
  });
  test("compare position by position", () => {
    expect(compareLabels(["a", "1"], ["a", "1", "b", "2"])).toBeLessThan(0);
    expect(compareLabels(["a", "2"], ["a", "1", "b", "2"])).toBeGreaterThan(0);
  });
  test("set and remove", () => {
    expect(withLabel(["a", "1", "c", "3"], "b", "2")).toEqual(["a", "1", "b", "2", "c", "3"]);
    expect(withLabel(["a", "1"], "a", "")).toEqual([]);
    expect(withLabel(["a", "1"], "a", "x")).toEqual(["a", "x"]);
  });
  test("keys are equal only for equal sets", () => expect(labelsKey(["a", "1b"])).not.toBe(labelsKey(["a1", "b"])));
  test("printed as Go quotes", () =>
    expect(formatLabels(["a", 'x"\n\\', "b c", "é\u0001"])).toBe('{a="x\\"\\n\\\\", "b c"="é\\x01"}'));
});

describe("matchers", () => {
  const pattern = fc
    .array(fc.constantFrom("a", "b", ".*", ".+", "|", "(a|b)", "[ab]", "a?", "\\.", "(?i)A", "x"), { maxLength: 5 })
    .map((parts) => parts.join(""));
  const value = fc
    .array(fc.constantFrom("a", "b", "A", "x", ".", "\n", "\u{1F600}"), { maxLength: 6 })
    .map((parts) => parts.join(""));
  test("fast paths agree with RE2", () => {
    fc.assert(
      fc.property(pattern, value, (p, v) => {
        expect(compileAnchored(p).test(v), `${p} on ${JSON.stringify(v)}`).toBe(RE2JS.compile(`^(?s:${p})$`).test(v));
      }),
      { numRuns: 3000 },
    );
  });
  test("sets of literals are known", () => {
    expect(createMatcher({ type: "=~", name: "a", value: "x|y|z" }).setMatches).toEqual(["x", "y", "z"]);
    expect(createMatcher({ type: "=~", name: "a", value: "x.*" }).setMatches).toBeUndefined();
  });
  test("what explodes under backtracking is linear", () => {
    expect(compileAnchored("(?:(a+)+){1,50}").test("a".repeat(5000) + "b")).toBe(false);
  });
  test("invalid RE2 names the pattern", () =>
    expect(() => createMatcher({ type: "=~", name: "a", value: "a(?=b)" })).toThrow('in "a(?=b)"'));
  test("a pattern is judged as it stands, not inside of what anchors it", () => {
    for (const value of ["a)(b", "(?i)a)|(b", "x)"])
      expect(() => createMatcher({ type: "=~", name: "a", value }), value).toThrow(`unexpected ): \`${value}\``);
    const { test: literal } = compileAnchored("\\Qa.b|");
    expect(["a.b|", "axb|", "a.b"].map(literal)).toEqual([true, false, false]);
    const { test: optional } = compileAnchored("a😀?");
    expect(["a", "a😀", "a\ud83d"].map(optional)).toEqual([true, true, false]);
  });
  test("all of a value matches, whichever alternative comes first", () => {
    const atom = fc.constantFrom("a", "b", "ab", "a|ab", "(a|ab)(b|)", "a*?", "b+", ".", "(?:|a)", "[^a]", "^", "$");
    fc.assert(
      fc.property(
        fc.array(atom, { minLength: 1, maxLength: 4 }),
        fc.string({ unit: fc.constantFrom("a", "b", "\n") }),
        (atoms, v) => {
          const pattern = atoms.join("");
          expect(compileAnchored(pattern).test(v)).toBe(new RegExp(`^(?:${pattern})$`, "s").test(v));
        },
      ),
    );
  });
});

describe("floats as Go writes them", () => {
  const check = (value: number, json: string, plain: string, g: string): void =>
    test(String(value), () =>
      expect([formatValue(value), formatPlain(value), formatG(value)]).toEqual([json, plain, g]),
    );
  check(0, "0", "0", "0");
  check(-0, "-0", "-0", "-0");
  check(123456.5, "123456.5", "123456.5", "123456.5");
  check(1e6, "1000000", "1000000", "1e+06");
  check(1e21, "1e+21", "1000000000000000000000", "1e+21");
  check(1e-7, "1e-07", "0.0000001", "1e-07");
  check(0.00001, "0.00001", "0.00001", "1e-05");
  check(-1.5e300, "-1.5e+300", `-15${"0".repeat(299)}`, "-1.5e+300");
  check(NaN, "NaN", "NaN", "NaN");
  check(-Infinity, "-Inf", "-Inf", "-Inf");
  test("e", () => expect([1.5e6, -0, 12, 1e-7].map(formatE)).toEqual(["1.5e+06", "-0e+00", "1.2e+01", "1e-07"]));
  test("parse", () => {
    const texts = ["1", "+Inf", "-inf", "1e3", ".5", "0x1p4", "nan", "", "0x10", " 1", "-NaN", "-0x1p-2", "0x.8p1"];
    const none = undefined;
    expect(texts.map(parseGoFloat)).toEqual([
      1,
      Infinity,
      -Infinity,
      1000,
      0.5,
      16,
      NaN,
      none,
      none,
      none,
      none,
      -0.25,
      1,
    ]);
  });
  test("parse underscores as Go 1.26 does: single ones between digits and behind 0x", () => {
    const read = {
      "1_0": 10,
      "1_23.50_0_0e+1_2": 1.235e14,
      "0_1": 1,
      "0x_1p4": 16,
      "0x1_0p1_0": 16384,
      "0x1.8_8p0": 1.53125,
    };
    expect(Object.keys(read).map(parseGoFloat)).toEqual(Object.values(read));
    const refused = "_1 1_ 1__0 1_.5 1._5 1.5_e1 1e_1 0x1__0p1 0x_p1 0x1_p1 0x1p_1 0x1p1_ 0x1._8p0 0x1_.8p0 in_f";
    for (const text of refused.split(" ")) expect(parseGoFloat(text), text).toBeUndefined();
  });
});

test("the stale marker is told by its bits and survives in columns", () => {
  const values = new Float64Array(3);
  const words = new Int32Array(values.buffer);
  setStale(words, 1);
  values[2] = NaN;
  const copy = values.slice();
  expect([0, 1, 2].map((i) => isStale(new Int32Array(copy.buffer), i))).toEqual([false, true, false]);
});

describe("tenants", () => {
  test("headers first, then credentials, then the default", () => {
    const of = (headers: Record<string, string>): string => tenantOf(headers, "THANOS-TENANT", "fallback");
    expect(of({ "thanos-tenant": "a", "x-scope-orgid": "b" })).toBe("a");
    expect(of({ "x-scope-orgid": "b" })).toBe("b");
    expect(of({ authorization: `Basic ${Buffer.from("team-c:secret").toString("base64")}` })).toBe("team-c");
    expect(of({ authorization: "Bearer tok" })).toBe("tok");
    expect(of({})).toBe("fallback");
  });
  test("an id that could leave its folder is refused", () => {
    for (const bad of ["../x", "a/b", "..", "a b", "x".repeat(151)])
      expect(() => parseTenant(bad), bad).toThrow("tenant id");
  });
});
