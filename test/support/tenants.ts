/** A receiver's tenants in a temporary folder, on a bucket that can fail. */
import { createEnv, type Env } from "#libs/kit/env.ts";
import { UnavailableError } from "#libs/kit/errors.ts";
import { silentLog } from "#libs/kit/log.ts";
import { resolveOptions } from "#libs/kit/options.ts";
import type { SeriesRequest } from "#libs/storeapi/store.ts";
import { MemoryBucket } from "#libs/objstore/memory.ts";
import { receiverOptions } from "#services/receiver/config.ts";
import { Tenants } from "#services/receiver/tenants.ts";
import { headFolder, T0 } from "./head.ts";

/** All series that have a name, with all samples. */
export const EVERYTHING: SeriesRequest = {
  mint: 0,
  maxt: 2e12,
  matchers: [{ type: "=~", name: "__name__", value: ".+" }],
  skipChunks: false,
  withoutLabels: [],
  limit: 0,
  partialResponse: false,
};

/** A bucket that can be made to refuse. */
export class FlakyBucket extends MemoryBucket {
  isUp = true;

  override async put(...args: Parameters<MemoryBucket["put"]>): Promise<void> {
    if (!this.isUp) throw new UnavailableError("the bucket does not answer");
    return super.put(...args);
  }
}

export interface OpenTenants {
  readonly tenants: Tenants;
  readonly env: Env;
  readonly folder: string;
  /** The value of a metric with one set of labels. */
  readonly metric: (name: string) => Promise<number | undefined>;
}

export function openTenants(
  flags: Record<string, string>,
  bucket?: MemoryBucket,
  folder: string = headFolder(),
): OpenTenants {
  const given = new Map(Object.entries({ "tsdb.path": folder, ...flags }).map(([flag, text]) => [flag, [text]]));
  let now = T0;
  const { env } = createEnv(silentLog(), () => now++, new AbortController().signal);
  const tenants = new Tenants(resolveOptions(receiverOptions, { flags: given, environment: {} }), bucket, env);
  const metric = async (name: string): Promise<number | undefined> => {
    const { values } = (await env.metrics.getSingleMetric(name)!.get()) as { values: { value: number }[] };
    return values[0]?.value;
  };
  return { tenants, env, folder, metric };
}
