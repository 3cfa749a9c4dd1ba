/**
 * The tenants of a receiver: opens their stores, and keeps them in order every few seconds: what is complete is cut into
 * blocks, blocks are uploaded, and what is past the retention leaves the disk. Invariant: with a bucket, no block does
 * before it is there.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { CorruptionError, LimitError } from "#libs/kit/errors.ts";
import type { Env } from "#libs/kit/env.ts";
import type { Maybe } from "#libs/kit/maybe.ts";
import { labelsFrom } from "#libs/model/labels.ts";
import type { Bucket } from "#libs/objstore/bucket.ts";
import { planRetention } from "#libs/tsdb/block/retention.ts";
import { localRanges } from "#libs/tsdb/compact/plan.ts";
import { ensureFolder } from "#libs/tsdb/files.ts";
import type { ReceiverConfig } from "./config.ts";
import { Shipper } from "./shipper.ts";
import { type StorageMetrics, storageMetrics } from "./storage-metrics.ts";
import type { LocalBlock } from "./local-blocks.ts";
import { mergesInThread } from "./merge-folders.ts";
import { TenantStore } from "./tenant-store.ts";

const BLOCK_RANGE_MS = 2 * 3_600_000;
/** As Prometheus: a tenth of the retention, and no more than this. */
const BLOCK_RANGE_MAX_MS = 31 * 86_400_000;
/** After a merge that failed for the disk or another reason outside the blocks. */
const MERGE_AGAIN_MS = 10 * 60_000;

export class Tenants {
  readonly #stores = new Map<string, Promise<TenantStore>>();
  /** Those of them that are open. */
  readonly #open: TenantStore[] = [];
  readonly #shippers = new Map<string, Shipper>();
  readonly #config: ReceiverConfig;
  readonly #bucket: Bucket | undefined;
  readonly #env: Env;
  readonly #metrics: StorageMetrics;
  readonly #merge = mergesInThread();
  readonly #ranges: readonly number[];
  #compacting: Promise<void> | undefined;
  /** Tenants whose blocks are not merged before a time. */
  readonly #mergeAgainAt = new Map<string, number>();
  /** Bytes past the retention that wait for their upload, by tenant. */
  readonly #waitingBytes = new Map<string, number>();

  constructor(config: ReceiverConfig, bucket: Bucket | undefined, env: Env) {
    this.#config = config;
    this.#bucket = bucket;
    this.#env = env;
    this.#metrics = storageMetrics(config, this, env.metrics);
    const { maxBlockMs, retentionMs } = config;
    const byRetention = retentionMs === 0 ? BLOCK_RANGE_MAX_MS : Math.min(retentionMs / 10, BLOCK_RANGE_MAX_MS);
    this.#ranges = localRanges(BLOCK_RANGE_MS, maxBlockMs === 0 ? byRetention : maxBlockMs);
  }

  /** At hand unless one is being opened. */
  get all(): Maybe<readonly TenantStore[]> {
    return this.#open.length === this.#stores.size ? this.#open : Promise.all(this.#stores.values());
  }

  /** The tenant's store; undefined when it has none. */
  async find(tenant: string): Promise<TenantStore | undefined> {
    return this.#stores.get(tenant);
  }

  get hasBucket(): boolean {
    return this.#bucket !== undefined;
  }

  /** Whether the bucket has the tenant's block or is about to: what is deleted from it now stays there. */
  isSent(tenant: string, { meta }: LocalBlock): boolean {
    return this.#shippers.get(tenant)?.isSent(meta.ulid) === true;
  }

  waitingBytes(tenant: string): number {
    return this.#waitingBytes.get(tenant) ?? 0;
  }

  async openExisting(): Promise<void> {
    ensureFolder(this.#config.tsdbPath);
    for (const name of readdirSync(this.#config.tsdbPath)) {
      if (!name.startsWith(".") && statSync(join(this.#config.tsdbPath, name)).isDirectory()) await this.open(name);
    }
  }

  /** @throws LimitError for a new tenant above the limit. */
  get(tenant: string): Promise<TenantStore> {
    const known = this.#stores.get(tenant);
    if (known !== undefined) return known;
    if (this.#stores.size >= this.#config.tenantsMax) {
      throw new LimitError(
        `${this.#stores.size} tenants write here, --receive.tenants-limit allows no more; raise it or use another receiver`,
      );
    }
    return this.open(tenant);
  }

  open(tenant: string): Promise<TenantStore> {
    const { tsdbPath, tenantLabel, labels, seriesMax, outOfOrderMs, exemplarsMax, noLockfile } = this.#config;
    const folder = join(tsdbPath, tenant);
    const external = labelsFrom([...labels, [tenantLabel, tenant]]);
    // The seed keeps senders from choosing labels that collide; it need not outlive the process.
    const seed = new DataView(crypto.getRandomValues(new Uint8Array(4)).buffer).getInt32(0);
    const { log } = this.#env;
    const options = {
      rangeMs: BLOCK_RANGE_MS,
      seriesMax,
      seed,
      outOfOrderMs,
      exemplarsMax,
      noLockfile,
      log,
      merge: this.#merge,
    };
    const store = TenantStore.open(tenant, folder, external, options, this.#env);
    this.#stores.set(tenant, store);
    store.then(
      (open) => this.#open.push(open),
      () => this.#stores.delete(tenant), // the caller sees the reason; the next request tries again
    );
    if (this.#bucket !== undefined) this.#shippers.set(tenant, new Shipper(folder, this.#bucket, external));
    return store;
  }

  /** Cuts, uploads, and deletes what is past the retention; merges go on behind it. What fails for one tenant is logged, and tried again next time. */
  async maintain(): Promise<void> {
    for (const [tenant, opening] of this.#stores) {
      const store = await opening;
      const failed = (what: string) => (err: unknown) => {
        if (!this.#env.stopping.aborted) this.#env.log.error({ err, tenant }, `${what} failed; it is tried again`);
      };
      await store.cut(async () => undefined).catch(failed("cutting the head"));
      await this.#clean(tenant, store).catch(failed("rewriting a block without what is deleted"));
      await this.#ship(tenant, store).catch(failed("upload of blocks"));
      await this.#retire(tenant, store).catch(failed("retention"));
    }
    this.#compacting ??= this.#compact().finally(() => (this.#compacting = undefined));
  }

  /** The merges that go on, if any do. */
  get compacted(): Promise<void> {
    return Promise.resolve(this.#compacting);
  }

  /** Merges until nothing is left to merge. */
  async #compact(): Promise<void> {
    const { stopping, log } = this.#env;
    for (const [tenant, opening] of this.#stores) {
      if ((this.#mergeAgainAt.get(tenant) ?? 0) > this.#env.now()) continue;
      const store = await opening;
      const shipper = this.#shippers.get(tenant);
      const isSent = shipper && (({ meta }: LocalBlock): boolean => shipper.isUploaded(meta.ulid));
      const onMerged = ({ meta }: LocalBlock): void => shipper?.note(meta.ulid);
      try {
        while (!stopping.aborted && (await store.compact(this.#ranges, isSent, onMerged, stopping)))
          this.#metrics.merges.inc({ tenant });
      } catch (err) {
        if (stopping.aborted) return;
        this.#metrics.mergeFailures.inc({ tenant });
        const isCorrupt = err instanceof CorruptionError;
        if (!isCorrupt) this.#mergeAgainAt.set(tenant, this.#env.now() + MERGE_AGAIN_MS);
        log.error(
          { err, tenant },
          `merging blocks failed; ${isCorrupt ? "they stay as they are" : "it is tried again"}`,
        );
      }
    }
  }

  /** Tombstones do not travel: what is deleted must be gone before the upload. */
  async #clean(tenant: string, store: TenantStore): Promise<void> {
    const shipper = this.#shippers.get(tenant);
    const isDue = ({ meta }: LocalBlock): boolean =>
      shipper !== undefined && !shipper.isSent(meta.ulid) && meta.compaction.failed !== true;
    await store.cleanTombstones(isDue, () => false, this.#env.stopping);
  }

  async #ship(tenant: string, store: TenantStore): Promise<void> {
    const shipper = this.#shippers.get(tenant);
    if (shipper === undefined) return;
    const { log } = this.#env;
    for (const block of store.blocks) {
      // Nothing is left of it, it is corrupt, or it got them while another was uploaded.
      if (block.hasTombstones || !store.blocks.includes(block)) continue;
      const isWanted = block.meta.compaction.level === 1 || this.#config.uploadCompacted;
      const startedAt = performance.now();
      const outcome = await shipper.upload(block, this.#env.now(), isWanted).catch((error: unknown) => {
        this.#metrics.uploadFailures.inc({ tenant });
        throw error;
      });
      if (outcome === "there" || outcome === "left out") continue;
      const about = { block: block.meta.ulid, tenant, tookMs: Math.round(performance.now() - startedAt) };
      if (outcome === "sent") {
        this.#metrics.uploads.inc({ tenant });
        log.info(about, "block uploaded");
      } else log.warn(about, "not uploaded: the bucket has the block from before samples were deleted, and keeps them");
    }
    shipper.forget(new Set(store.blocks.map(({ meta }) => meta.ulid)));
  }

  async #retire(tenant: string, store: TenantStore): Promise<void> {
    const { retentionMs: durationMs, retentionBytesMax: bytesMax } = this.#config;
    const { blocks } = store;
    const byTime = new Set(planRetention(blocks, { durationMs, bytesMax: 0 }, 0));
    const due = planRetention(blocks, { durationMs, bytesMax }, bytesMax > 0 ? store.headBytes : 0);
    // It tells a restart where the head begins.
    const newest = store.newestInOrder;
    const reasons = new Set<"time" | "size">();
    let waitingBytes = 0;
    for (const block of due) {
      if (block === newest) continue;
      const { ulid, compaction } = block.meta;
      const isNeeded = this.#bucket !== undefined && compaction.deletable !== true;
      if (isNeeded && this.#shippers.get(tenant)?.isUploaded(ulid) !== true) {
        waitingBytes += block.sizeBytes;
        continue;
      }
      const reason = byTime.has(block) ? "time" : "size";
      reasons.add(reason);
      await store.drop(block);
      this.#env.log.info({ block: ulid, tenant, reason }, "local block deleted after its retention");
    }
    for (const reason of reasons) this.#metrics.retentions[reason].inc({ tenant });
    if (waitingBytes > 0 && this.waitingBytes(tenant) === 0) {
      this.#env.log.warn(
        { tenant, waitingBytes },
        "local blocks are past --tsdb.retention or --tsdb.max-retention-bytes and stay until they are in the bucket; see why they are not uploaded (compacted blocks need --shipper.upload-compacted), and the free disk",
      );
    }
    this.#waitingBytes.set(tenant, waitingBytes);
  }

  async close(): Promise<void> {
    await this.#compacting;
    for (const store of await this.all) await store.close();
  }
}
