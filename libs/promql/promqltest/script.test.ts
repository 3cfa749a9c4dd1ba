import { describe, expect, test } from "vitest";
import { labelsFrom } from "#libs/model/labels.ts";
import type { EvalCommand } from "./eval-command.ts";
import { parseScript, ScriptError } from "./script.ts";

/** The first eval of a script. */
function evalOf(script: string): EvalCommand {
  const found = parseScript(script).find((command) => command.kind === "eval");
  if (found === undefined) throw new Error("no eval");
  return found;
}

test("an empty line or a comment ends a block", () => {
  const lines = [
    "# A comment.",
    "  load 5m",
    "\tx 1 _ 3 stale",
    "# Ends the block.",
    "Clear everything",
    "eval instant at 5m x",
    "  x 1",
    "",
    "eval_ordered instant at 0 y",
    "  # As here.",
    "eval range from 0 to 1h30m step 30m x",
  ];
  expect(parseScript(lines.join("\n")).map(({ kind, line }) => `${line} ${kind}`)).toEqual([
    "2 load",
    "5 clear",
    "6 eval",
    "9 eval",
    "11 eval",
  ]);
  // Without one the next command reads as a series.
  expect(() => parseScript(lines.toSpliced(7, 1).join("\n"))).toThrow("unexpected identifier");
});

test("samples lie a step apart, with the start timestamps of the line before", () => {
  const script = 'load 30s\n  x{a="b"}@st _ -1m+20sx1 _ -500ms\n  x{a="b"} 1 2 _ stale 5';
  expect(parseScript(script)).toEqual([
    {
      kind: "load",
      line: 1,
      withNhcb: false,
      series: [
        {
          labels: labelsFrom([
            ["__name__", "x"],
            ["a", "b"],
          ]),
          samples: [
            { timeMs: 0, startMs: 0, value: { kind: "float", value: 1 } },
            { timeMs: 30_000, startMs: -30_000, value: { kind: "float", value: 2 } },
            { timeMs: 90_000, startMs: 0, value: { kind: "stale" } },
            { timeMs: 120_000, startMs: 119_500, value: { kind: "float", value: 5 } },
          ],
        },
      ],
    },
  ]);
});

test("of series loaded twice the later line counts", () => {
  const [load] = parseScript("load 1m\n x 1\n y 2\n x 3");
  expect(load?.kind === "load" && load.series.map(({ samples }) => samples[0]!.value)).toEqual([
    { kind: "float", value: 3 },
    { kind: "float", value: 2 },
  ]);
});

describe("evals", () => {
  test("numbers end the block", () => {
    const commands = parseScript("eval instant at 1m 0x10\n  0x10\nclear");
    expect(commands.map(({ kind }) => kind)).toEqual(["eval", "clear"]);
    expect(commands[0]).toMatchObject({ value: { type: "scalar", value: 16 } });
    expect(
      ["1e3", "-Inf", "+Inf", "0755", ".5", "-1_000"].map((number) => evalOf(`eval instant at 0 x\n${number}`).value),
    ).toEqual([1000, -Infinity, Infinity, 493, 0.5, -1000].map((value) => ({ type: "scalar", value })));
  });

  test("the time is the first word", () => {
    expect(evalOf("eval instant at 1h30m x at y")).toMatchObject({ query: "x at y", at: { timeMs: 5_400_000 } });
    expect(evalOf("eval range from 1m to 2m step 10s x[step():1m]")).toMatchObject({
      query: "x[step():1m]",
      at: { kind: "range", startMs: 60_000, endMs: 120_000, stepMs: 10_000 },
    });
  });

  test("a range vector moves the time to its end", () => {
    expect(evalOf("eval instant at 0 x[1m]\n expect range vector from 10s to 1m step 10s\n x 1 _ 3")).toMatchObject({
      at: { kind: "instant", timeMs: 60_000 },
      value: { type: "series", steps: { startMs: 10_000, endMs: 60_000, stepMs: 10_000 } },
    });
  });

  test("old words for fail, warn, info and ordered", () => {
    expect(evalOf("eval_ordered instant at 0 x").ordered).toBe(true);
    expect(evalOf("eval_warn instant at 0 x").notes.warn?.map(({ matches }) => matches("y"))).toEqual([true]);
    expect(evalOf("eval_fail instant at 0 x").fail?.matches("y")).toBe(true);
    const exact = evalOf("eval_fail instant at 0 x\n expected_fail_message a b").fail!;
    expect(["a b", "a b c"].map(exact.matches)).toEqual([true, false]);
    const pattern = evalOf("eval_fail instant at 0 x\n expected_fail_regexp a.+c").fail!;
    expect(["zabcz", "ac"].map(pattern.matches)).toEqual([true, false]);
  });

  test("a metric called expect takes braces", () => {
    expect(evalOf("eval instant at 0 expect\n expect{} 1").value).toMatchObject({ type: "series" });
  });
});

describe("errors name the line", () => {
  const check = (script: string, line: number, message: string): void =>
    test(message, () => {
      const error = (() => {
        try {
          return parseScript(script);
        } catch (thrown) {
          return thrown;
        }
      })();
      expect(error).toBeInstanceOf(ScriptError);
      expect(error).toMatchObject({ line, message });
    });
  check("\nfoo bar", 2, 'no command: "foo bar", want load, eval or clear');
  check("load", 1, "want load STEP or load_with_nhcb STEP");
  check("load 5", 1, 'not a valid duration string: "5"');
  check("load 5m\n x 1 2x", 2, "1:7: parse error: unexpected end of input in series values");
  check("load 5m\n x@st -1m\n", 2, "a line of samples must follow the line of start timestamps");
  check("load 5m\n x@st -1m\n y 1", 3, "start timestamps and samples are of different series");
  check("load 5m\n x@st -1m\n x 1 2", 3, "1 start timestamps for 2 samples");
  check("load 5m\n x@st -1m+1s\n x 1 2", 2, "start timestamp -1m+1s: no xN at its end");
  check("load 5m\n x@st _x0\n x 1", 2, "start timestamp _x0: a repetition of nothing");
  check("load 5m\n x@st 1m30s\n x 1", 2, "start timestamp 1m30s: want _, _xN, -1m, -1mxN or -1m+1sxN");
  check("load 5m\n x 1x99999999", 2, "1:13: parse error: 100000000 values in a series, most are 1000000");
  check("eval instant x", 1, "want eval instant at TIME QUERY or eval range from TIME to TIME step STEP QUERY");
  check("eval range from 2m to 1m step 1m x", 1, "the range ends at 1m, before it begins at 2m");
  check(
    "eval instant at 1m x\n x 1 2",
    2,
    "2 values for an instant query, want one; expect range vector allows several",
  );
  check("eval range from 0 to 1m step 1m x\n x 1 2 3", 2, "3 values for 2 steps");
  check("eval instant at 1m x\n expect string foo", 2, "want expect string and a string in quotes");
  check("eval instant at 1m x\n expect fail\n expect fail", 3, "a second expect fail");
  check("eval instant at 1m x\n expect warn\n expect no_warn", 3, "expect warn and expect no_warn exclude each other");
});
