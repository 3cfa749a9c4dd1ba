/** What a running `cairn` has, through its Store API: chunks as they are, every kind of sample. */
import { createEnv } from "#libs/kit/env.ts";
import { silentLog } from "#libs/kit/log.ts";
import { framesOf } from "#libs/storeapi/frames.ts";
import { grpcStore } from "#libs/storeapi/grpc-client.ts";
import { type SeriesRequest, TIME_MAX, TIME_MIN } from "#libs/storeapi/store.ts";
import { type SeenSeries, seen } from "./head.ts";

/** The series whose name matches, without the tenant's label. */
export async function storedSeries(address: string, namePattern: string): Promise<SeenSeries[]> {
  const { env, close } = createEnv(silentLog(), Date.now, new AbortController().signal);
  try {
    const request: SeriesRequest = {
      mint: TIME_MIN,
      maxt: TIME_MAX,
      matchers: [{ type: "=~", name: "__name__", value: namePattern }],
      skipChunks: false,
      withoutLabels: ["tenant_id"],
      limit: 0,
      partialResponse: false,
    };
    return await seen(framesOf(grpcStore(address, env).series(request, env.stopping), () => undefined));
  } finally {
    await close();
  }
}
