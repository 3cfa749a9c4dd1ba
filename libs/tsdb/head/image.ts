/**
 * Image of a head at a clean end, `cairn-image` in the folder of its snapshot: its arrays as they lie in memory, so that
 * the next start takes series, labels, postings, open chunks and places of full ones as they are: with 100,000 series
 * × 480 samples a quarter of the CPU that the snapshot's records and a scan of the chunk files take (decisions/0020).
 *
 * It is taken once, and only where the chunk files are the very ones that it names: they are not read then, damage in
 * them is found when a chunk is. A head that has found any writes no image. As the snapshot it is an accelerator:
 * without it the snapshot is read.
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Interval } from "../block/cut-chunks.ts";
import type { Chunk } from "../chunk/encoding.ts";
import type { Labels } from "#libs/model/labels.ts";
import type { ListedFile } from "./chunk-files.ts";
import { readColumnFileSteps, writeColumnFile } from "./column-file.ts";
import type { Exemplar } from "./exemplars.ts";
import type { FullChunk } from "./full-chunks.ts";
import type { KeysImage } from "./key-table.ts";
import type { SeriesImage } from "./series.ts";
import type { HeadState } from "./state.ts";

/** The last byte is to be raised with every change of what is below, of a record's layout or of a hash; a test tells. */
export const IMAGE_MAGIC = 0xca12_6802;

export interface HeadImage {
  readonly rangeMs: number;
  readonly minValidTime: number;
  readonly files: readonly ListedFile[];
  readonly seed: number;
  readonly mint: number;
  readonly maxt: number;
  readonly nextRef: number;
  readonly aliases: ReadonlyMap<number, number>;
  readonly series: SeriesImage;
  readonly keys: KeysImage;
  /** Open chunks that are not in the arena, by slot. */
  readonly objects: ReadonlyMap<number, Chunk>;
  readonly late: readonly (FullChunk & { readonly ref: number })[];
  readonly tombstones: ReadonlyMap<number, readonly Interval[]>;
  readonly exemplars: readonly { readonly series: Labels; readonly exemplar: Exemplar }[];
}

/** Writes the image of a head whose chunk files are synced into a folder, unless there is nothing to gain or it may not be. */
export async function writeImage(folder: string, state: HeadState): Promise<void> {
  const { options, series, keys, late, seed, mint, maxt, minValidTime, nextRef, aliases } = state;
  const files = state.files.list();
  if (files === undefined || series.count === 0) return;
  const objects = new Map<number, Chunk>();
  if (series.hasObjects)
    for (let slot = 0; slot < series.count; slot++)
      if (series.hasObject(slot)) objects.set(slot, series.openChunk(slot)!);
  const image: HeadImage = {
    rangeMs: options.rangeMs,
    minValidTime,
    files,
    seed,
    mint,
    maxt,
    nextRef,
    aliases,
    series: series.image,
    keys: keys.image,
    objects,
    late: late.refs().flatMap((ref) => late.of(ref)!.chunks.map((chunk) => ({ ref, ...chunk }))),
    tombstones: state.tombstones.byRef,
    exemplars: [...state.exemplars.all()],
  };
  await writeColumnFile(join(folder, NAME), IMAGE_MAGIC, image);
}

const NAME = "cairn-image";

/**
 * The image in a folder, which is deleted: what the head takes from now on is not in it. `state` is that of a head that
 * is being opened; when there is an image it has its chunk files, else nothing has changed.
 */
export function* takeImageSteps(folder: string, state: HeadState): Generator<void, HeadImage | undefined> {
  const path = join(folder, NAME);
  if (!existsSync(path)) return undefined;
  try {
    const isWanted = (tree: unknown): boolean => {
      const { rangeMs, minValidTime, files } = tree as HeadImage;
      return rangeMs === state.options.rangeMs && minValidTime === state.minValidTime && state.files.areListed(files);
    };
    const image = (yield* readColumnFileSteps(path, IMAGE_MAGIC, isWanted)) as HeadImage | undefined;
    if (image !== undefined) state.files.takeListed(image.files);
    return image;
  } catch (err) {
    state.options.log.warn({ err }, "image of the head cannot be used; its snapshot is read");
    return undefined;
  } finally {
    rmSync(path);
  }
}
