/** Appending to a head with its log, without HTTP: CPU of a sample and of a new series, memory. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "#libs/kit/log.ts";
import { labelsFrom } from "#libs/model/labels.ts";
import { Head } from "#libs/tsdb/head/head.ts";
import { loadSeries } from "#tools/load.ts";
import { row } from "./measure.ts";

export function head(print: (line: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "cairn-bench-"));
  try {
    const series = 20_000;
    const steps = 120;
    const instance = Head.open(folder, {
      rangeMs: 7_200_000,
      seriesMax: 1e6,
      seed: 1,
      minValidTime: -Infinity,
      log: silentLog(),
    });
    const sets = Array.from({ length: series }, (_, i) =>
      labelsFrom(loadSeries(i, 1).labels.map(({ name, value }) => [name, value] as const)),
    );
    let before = process.cpuUsage();
    const usedUs = (): number => {
      const { user, system } = process.cpuUsage(before);
      return user + system;
    };
    instance.begin();
    const slots = sets.map((labels) => instance.getOrCreate(labels));
    instance.commit();
    const creating = usedUs() / series;
    const values = Float64Array.from({ length: series * 4 }, (_, i) =>
      loadSeries(i % series, 1).valueAt(Math.floor(i / series)),
    );
    const words = new Int32Array(values.buffer);
    before = process.cpuUsage();
    for (let step = 0; step < steps; step++) {
      for (let from = 0; from < series; from += 2000) {
        instance.begin();
        for (let i = from; i < from + 2000; i++) {
          const at = (step % 4) * series + i;
          instance.append(slots[i]!, 1.7e12 + step * 15_000, words[2 * at]!, words[2 * at + 1]!);
        }
        instance.commit();
      }
    }
    const appending = (usedUs() * 1000) / (series * steps);
    print(row(["head: append and log, ns CPU a sample", appending, appending, `${series} series`]));
    print(row(["head: new series, µs CPU", creating, creating, ""]));
    print(
      row([
        "head: memory, bytes a series",
        instance.bytes / series,
        instance.bytes / series,
        "labels, key, postings apart, open chunk",
      ]),
    );
    void instance.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
}
