/** The querier's scanner threads, started by the first query that has work for them, and the pool that deals it out. */
import { availableParallelism } from "node:os";
import type { ThreadSpec } from "#libs/kit/host.ts";
import type { Peer } from "#libs/kit/rpc.ts";
import type { RangeScan } from "#libs/promql/operators/float-scanner.ts";
import type { ScannedRows, ScanPool } from "#libs/promql/scan-pool.ts";
import type { FloatBatch } from "#libs/promql/storage.ts";

/** Below it the message costs more than the scan: 128 KiB of chunks decode in half a millisecond (bench/query-head.ts). */
const OFFER_BYTES_MIN = 1 << 17;

/** Threads beside the one that evaluates; 0 asks for one less than there are cores, four at most. */
export function scanThreads(wanted: number): ThreadSpec[] {
  const count = wanted > 0 ? wanted : Math.min(4, availableParallelism() - 1);
  const module = new URL("./scanner.ts", import.meta.url);
  return Array.from({ length: count }, (_, i) => ({
    name: `scan-${i}`,
    onDemand: true,
    components: [{ name: `scanner-${i}`, module, config: undefined }],
  }));
}

export class ThreadScanPool implements ScanPool {
  readonly #scanners: { readonly peer: Peer; isUp: boolean; underWay: number }[];
  #isWoken = false;

  constructor(peers: readonly Peer[]) {
    this.#scanners = peers.map((peer) => ({ peer, isUp: false, underWay: 0 }));
  }

  get depth(): number {
    return 2 * this.#scanners.length + 1;
  }

  offer(scan: RangeScan, batch: FloatBatch, signal: AbortSignal): Promise<ScannedRows> | undefined {
    if (batch.bytes < OFFER_BYTES_MIN) return undefined;
    this.#wake();
    const free = this.#scanners.find(({ isUp, underWay }) => isUp && underWay === 0);
    if (free === undefined) return undefined;
    const { message, transfer } = batch.detach();
    free.underWay++;
    return free.peer
      .call<ScannedRows>("scan", { scan, batch: message }, signal, transfer)
      .finally(() => free.underWay--);
  }

  /** Until a thread is up the caller scans itself. */
  #wake(): void {
    if (this.#isWoken) return;
    this.#isWoken = true;
    for (const scanner of this.#scanners) {
      const up = (): void => void (scanner.isUp = true);
      // A thread that does not start ends the process (host.ts).
      scanner.peer.call("ready", undefined).then(up, () => undefined);
    }
  }
}
