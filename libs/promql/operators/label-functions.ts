/** `label_replace` and `label_join`: they look at series, not at samples. */
import type { RE2JS } from "re2js";
import { ExecutionError } from "#libs/kit/errors.ts";
import { type Labels, labelValue, METRIC_NAME, withLabel } from "#libs/model/labels.ts";
import { compileRe2 } from "#libs/model/matcher.ts";
import type { CallExpr, Expr } from "../parser/ast.ts";
import type { Tile } from "../tile.ts";
import type { EvalContext } from "./context.ts";
import { collectTiles, evaluateVector } from "./evaluator.ts";
import { mergeInSlices } from "./in-slices.ts";

export async function* labelReplace(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const [target, replacement, source, pattern] = call.args.slice(1).map(textOf) as [string, string, string, string];
  let re: RE2JS;
  try {
    re = compileRe2(`^(?s:${pattern})$`, pattern);
  } catch (cause) {
    throw new ExecutionError(`invalid regular expression in label_replace(): ${pattern}`, { cause });
  }
  checkName("destination", target, "label_replace");
  yield* relabel(call.args[0]!, target, context, (labels) => {
    const match = re.matcher(labelValue(labels, source));
    return match.matches() ? expand(replacement, match) : undefined;
  });
}

export async function* labelJoin(call: CallExpr, context: EvalContext): AsyncGenerator<Tile> {
  const [target, separator, ...sources] = call.args.slice(1).map(textOf) as [string, string, ...string[]];
  for (const source of sources) checkName("source", source, "label_join");
  checkName("destination", target, "label_join");
  yield* relabel(call.args[0]!, target, context, (labels) =>
    sources.map((source) => labelValue(labels, source)).join(separator),
  );
}

function textOf(arg: Expr): string {
  return arg.kind === "string" ? arg.value : "";
}

function checkName(which: "destination" | "source", name: string, func: string): void {
  if (name === "" || !name.isWellFormed())
    throw new ExecutionError(`invalid ${which} label name in ${func}(): ${name}`);
}

/** Sets `target` to what `valueOf` gives, if it does; series that become equal are merged. */
async function* relabel(
  input: Expr,
  target: string,
  context: EvalContext,
  valueOf: (labels: Labels) => string | undefined,
): AsyncGenerator<Tile> {
  const apply = async function* (): AsyncGenerator<Tile> {
    for await (const tile of evaluateVector(input, context)) {
      tile.labels.forEach((labels, s) => {
        const value = valueOf(labels);
        if (value === undefined) return;
        tile.labels[s] = withLabel(labels, target, value);
        // A name that is set stays.
        if (target === METRIC_NAME) tile.nameless?.delete(s);
      });
      yield tile;
    }
  };
  yield mergeInSlices(await collectTiles(apply(), context), context.steps.count, context.slices);
}

/** Go's Regexp.Expand: `$1`, `${name}`, `$$`; an unbraced name is as long as it can be. */
function expand(template: string, match: ReturnType<RE2JS["matcher"]>): string {
  return template.replace(
    /\$(?:\$|\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))/gu,
    (whole, braced: string | undefined, bare: string | undefined) => {
      if (whole === "$$") return "$";
      const name = braced ?? bare!;
      try {
        return (/^\d+$/.test(name) ? match.group(Number(name)) : match.group(name)) ?? "";
      } catch (error) {
        if (error instanceof Error) return ""; // no such group: empty, as in Go
        throw error;
      }
    },
  );
}
