/** The component of a scanner thread: scans batches of floats for the querier. */
import type { StartComponent } from "#libs/kit/host.ts";
import { type Handlers, Transfer } from "#libs/kit/rpc.ts";
import type { RangeScan } from "#libs/promql/operators/float-scanner.ts";
import { scanFloats } from "#libs/promql/scan-pool.ts";
import { releaseFrame } from "#libs/tsdb/series/frame.ts";
import { attachBatch, type DetachedBatch } from "./source.ts";

export const start: StartComponent<undefined> = async () =>
  ({
    ready: async () => undefined,
    async scan({ scan, batch }: { scan: RangeScan; batch: DetachedBatch }) {
      const rows = scanFloats(scan, attachBatch(batch), batch.end - batch.first);
      releaseFrame(batch.chunks);
      return new Transfer(rows, [rows.series.buffer, rows.values.buffer, rows.present.buffer]);
    },
  }) satisfies Handlers;
