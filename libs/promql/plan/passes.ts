/** The passes, in their order. Each relies on what those before it leave. */
import type { Pass } from "./pass.ts";
import { fold } from "./passes/fold.ts";
import { markInvariant } from "./passes/invariant.ts";
import { pickLabels } from "./passes/labels.ts";
import { tidyMatchers } from "./passes/matchers.ts";
import { resolve } from "./passes/resolve.ts";
import { markShared } from "./passes/shared.ts";
import { markStatsOnly } from "./passes/stats-only.ts";

export const PASSES: readonly Pass[] = [
  { name: "resolve", reason: "times and durations of the query become numbers", run: resolve },
  { name: "fold", reason: "arithmetic of numbers is done once, parentheses go", run: fold },
  { name: "matchers", reason: "equal selectors look equal, implied matchers cost nothing", run: tidyMatchers },
  { name: "stats-only", reason: "buckets nobody asks for are dropped when decoded", run: markStatsOnly },
  { name: "invariant", reason: "what is the same at every step is evaluated once", run: markInvariant },
  { name: "shared", reason: "what stands there twice is evaluated once", run: markShared },
  { name: "labels", reason: "labels that make no group are not decoded", run: pickLabels },
];
