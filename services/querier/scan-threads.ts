/** The querier's scanner threads: each is a component that scans batches, and the pool that deals them out. */
import { availableParallelism } from "node:os";
import type { ComponentSpec, StartComponent, ThreadSpec } from "#libs/kit/host.ts";
import { type Handlers, type Peer, Transfer } from "#libs/kit/rpc.ts";
import type { RangeScan } from "#libs/promql/operators/float-scanner.ts";
import { type ScannedRows, type ScanPool, scanFloats } from "#libs/promql/scan-pool.ts";
import type { FloatBatch } from "#libs/promql/storage.ts";
import { releaseFrame } from "#libs/tsdb/series/frame.ts";
import { attachBatch, type DetachedBatch } from "./source.ts";

/** Below it the message costs more than the scan: 128 KiB of chunks decode in half a millisecond (bench/query-head.ts). */
const OFFER_BYTES_MIN = 1 << 17;

/** Threads beside the one that evaluates; 0 asks for one less than there are cores, four at most. */
export function scanThreads(wanted: number): ThreadSpec[] {
  const count = wanted > 0 ? wanted : Math.min(4, availableParallelism() - 1);
  return Array.from({ length: count }, (_, i) => ({ name: `scan-${i}`, components: [scannerComponent(i)] }));
}

function scannerComponent(i: number): ComponentSpec {
  return { name: `scanner-${i}`, module: new URL(import.meta.url), config: undefined };
}

export const start: StartComponent<undefined> = async () =>
  ({
    async scan({ scan, batch }: { scan: RangeScan; batch: DetachedBatch }) {
      const rows = scanFloats(scan, attachBatch(batch), batch.end - batch.first);
      releaseFrame(batch.frame);
      return new Transfer(rows, [rows.series.buffer, rows.values.buffer, rows.present.buffer]);
    },
  }) satisfies Handlers;

export class ThreadScanPool implements ScanPool {
  readonly #scanners: { readonly peer: Peer; underWay: number }[];

  constructor(peers: readonly Peer[]) {
    this.#scanners = peers.map((peer) => ({ peer, underWay: 0 }));
  }

  get depth(): number {
    return 2 * this.#scanners.length + 1;
  }

  offer(scan: RangeScan, batch: FloatBatch, signal: AbortSignal): Promise<ScannedRows> | undefined {
    if (batch.bytes < OFFER_BYTES_MIN) return undefined;
    const free = this.#scanners.find(({ underWay }) => underWay === 0);
    if (free === undefined) return undefined;
    const { message, transfer } = batch.detach();
    free.underWay++;
    return free.peer
      .call<ScannedRows>("scan", { scan, batch: message }, signal, transfer)
      .finally(() => free.underWay--);
  }
}
