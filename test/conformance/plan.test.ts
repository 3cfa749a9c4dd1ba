/** Plans of all that Prometheus's own tests ask: they travel, and no pass changes an answer, a note or an error. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { messageOf } from "#libs/kit/errors.ts";
import { Engine } from "#libs/promql/engine.ts";
import type { Expr } from "#libs/promql/parser/ast.ts";
import { typeOf } from "#libs/promql/parser/check.ts";
import { parseQuery } from "#libs/promql/parser/parser.ts";
import { PASSES } from "#libs/promql/plan/passes.ts";
import { planQuery } from "#libs/promql/plan/plan.ts";
import { formatPlan, parsePlan } from "#libs/promql/plan/plan-text.ts";
import { resultOf } from "#libs/promql/promqltest/result.ts";
import { ALL_FEATURES } from "#libs/promql/promqltest/run.ts";
import type { EvalCommand } from "#libs/promql/promqltest/eval-command.ts";
import { parseScript } from "#libs/promql/promqltest/script.ts";
import { ChunkStorage } from "../../tools/promqltest-storage.ts";
import { CONFORMANCE, describeShared } from "../support/shared.ts";

const SCRIPTS = join(CONFORMANCE, "promqltest");
const RANGES = [
  { startMs: 600_000, endMs: 600_000, stepMs: 0 },
  { startMs: -3_600_000, endMs: 600_000, stepMs: 15_000 },
];

/** The tree of a text that parses. */
function tryParse(query: string): Expr | undefined {
  try {
    return parseQuery(query, ALL_FEATURES);
  } catch {
    return undefined; // what does not parse is other tests' business
  }
}

/** Checks that the plan of a query survives being text, or cannot be made. @returns whether it could be made. */
function travels(query: string, expr: Expr): boolean {
  let made = false;
  for (const range of RANGES) {
    let plan: ReturnType<typeof planQuery>;
    try {
      plan = planQuery(expr, range, query);
    } catch (error) {
      expect(messageOf(error)).toMatch(/^\d+:\d+: (duration|division by zero|modulo by zero)/);
      continue;
    }
    made = true;
    expect(parsePlan(formatPlan(plan)), query).toEqual(plan);
  }
  return made;
}

describeShared("plans", SCRIPTS, () => {
  const scripts = readdirSync(SCRIPTS).filter((file) => file.endsWith(".test"));
  const readScript = (file: string): string => readFileSync(join(SCRIPTS, file), "utf8");

  describe("survive being text", () => {
    test("of scripts", () => {
      const queries = scripts
        .flatMap((file) => parseScript(readScript(file)))
        .filter((command): command is EvalCommand => command.kind === "eval")
        .map(({ query }) => query);
      const made = queries.filter((query) => {
        const expr = tryParse(query);
        return expr !== undefined && travels(query, expr);
      });
      expect(made.length).toBeGreaterThan(1900);
    });

    test("of the parser's cases", () => {
      const { expressions } = JSON.parse(readFileSync(join(CONFORMANCE, "parser_cases.json"), "utf8")) as {
        expressions: { input?: string }[];
      };
      const made = expressions.filter(({ input }) => {
        const expr = input === undefined ? undefined : tryParse(input);
        return expr !== undefined && travels(input!, expr);
      });
      expect(made.length).toBeGreaterThan(200);
    });
  });

  describe("with all passes give what they give without those that only save work", () => {
    const options = {
      lookbackMs: 300_000,
      defaultStepMs: 60_000,
      timeoutMs: 100_000,
      samplesMax: 1_000_000,
      parser: ALL_FEATURES,
    };
    const bare = PASSES.filter(({ name }) => name !== "shared" && name !== "matchers");
    for (const delayedNameRemoval of [false, true]) {
      const engines = [
        new Engine({ ...options, delayedNameRemoval }),
        new Engine({ ...options, delayedNameRemoval, passes: bare }),
      ] as const;
      // That of literals has no vectors.
      for (const file of scripts.filter((name) => name !== "literals.test")) {
        test(`${file}${delayedNameRemoval ? ", names removed late" : ""}`, async () => {
          const storage = new ChunkStorage();
          let compared = 0;
          for (const command of parseScript(readScript(file))) {
            if (command.kind === "clear") await storage.clear();
            else if (command.kind === "load") command.series.forEach((series) => storage.append(series));
            else {
              for (const query of doubled(command.query)) {
                const [all, few] = engines.map((engine) => outcomeOf(engine, query, command, storage));
                expect(await all, query).toEqual(await few);
                compared++;
              }
            }
          }
          expect(compared).toBeGreaterThan(0);
        });
      }
    }
  });
});

/** Queries in which the query stands more than once, if it is a vector, in ways that find and miss itself. */
function doubled(query: string): string[] {
  const expr = tryParse(query);
  if (expr === undefined || typeOf(expr) !== "vector") return [];
  const q = `(${query}\n)`;
  return [
    `${q} + ${q}`,
    `${q} > 0 or count(${q}) or ${q} < Inf`,
    `max_over_time(${q}[2m:30s]) - on() group_left sum(${q})`,
  ];
}

async function outcomeOf(engine: Engine, query: string, { at }: EvalCommand, storage: ChunkStorage): Promise<unknown> {
  const { signal } = new AbortController();
  try {
    const { value, warnings, infos } =
      at.kind === "instant"
        ? await engine.instant(query, at.timeMs, storage.queryable(), {}, signal)
        : await engine.range(query, at, storage.queryable(), {}, signal);
    return { value: resultOf(value), warnings: [...warnings].sort(), infos: [...infos].sort() };
  } catch (error) {
    return messageOf(error);
  }
}
