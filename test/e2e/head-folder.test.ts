/** A real Prometheus opens the folder of a head: log, head chunks, out-of-order log, snapshot. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { silentLog } from "#libs/kit/log.ts";
import { createMatcher } from "#libs/model/matcher.ts";
import { append, headFolder, HOUR, intHistogram, MINUTE, openHead, read, T0 } from "../support/head.ts";
import { ask, describeWith, describeWithPrometheus3, freePort, run, until } from "../support/process.ts";

function body(program: string, withHistograms: boolean): void {
  for (const snapshot of [false, true]) {
    test(`Prometheus has what a head ${snapshot ? "with" : "without"} a snapshot left`, async () => {
      const folder = headFolder();
      const head = openHead(folder, { outOfOrderMs: 2 * HOUR });
      append(
        head,
        ["__name__", "float"],
        Array.from({ length: 600 }, (_, i) => [T0 + i * 10_000, i] as const),
      );
      if (withHistograms) {
        append(
          head,
          ["__name__", "histogram"],
          Array.from({ length: 300 }, (_, i) => [T0 + i * 20_000, intHistogram([[0, 3]], [i, 2 * i, i])] as const),
        );
      }
      for (let i = 0; i < 50; i++) append(head, ["__name__", "float"], [[T0 + i * MINUTE + 1, -i]]);
      await head.deleteSeries([createMatcher({ type: "=", name: "__name__", value: "float" })], T0, T0 + 99 * 10_000);
      await head.close(snapshot);
      const config = join(folder, "prometheus.yml");
      writeFileSync(config, "storage: {tsdb: {out_of_order_time_window: 2h}}\n");
      const port = await freePort();
      const prometheus = run(program, [
        `--config.file=${config}`,
        `--storage.tsdb.path=${folder}`,
        `--web.listen-address=127.0.0.1:${port}`,
        "--storage.tsdb.retention.time=100y",
        ...(snapshot ? ["--enable-feature=memory-snapshot-on-shutdown"] : []),
      ]);
      try {
        const base = `http://127.0.0.1:${port}`;
        await until("Prometheus is ready", async () =>
          (await fetch(`${base}/-/ready`).catch(() => undefined))?.ok === true ? true : undefined,
        );
        const time = String((T0 + 2 * HOUR) / 1000);
        const count = async (query: string): Promise<string | undefined> =>
          (await ask(base, "query", { query, time })).data.result[0]?.value?.[1];
        // 600 of which 100 are deleted; of the 50 late ones 17 lie there, which Debian's 2.42 does not see deleted.
        expect(await count("count_over_time(float[3h])")).toBe(withHistograms ? "533" : "550");
        if (withHistograms) {
          expect(await count("count_over_time(histogram[3h])")).toBe("300");
          expect(await count("histogram_count(last_over_time(histogram[3h]))")).toBe(String(299 * 4));
        }
        expect(prometheus.log()).not.toMatch(/level=(ERROR|WARN).*(WAL|WBL|chunk|snapshot)/i);
        if (snapshot) expect(prometheus.log()).toMatch(/Chunk snapshot loading time/);
      } finally {
        await prometheus.stop();
      }
      // And back: with a snapshot, of its making.
      const warnings: string[] = [];
      const log = silentLog();
      log.warn = log.error = ((_fields: object, text: string) => void warnings.push(text)) as typeof log.warn;
      const again = openHead(folder, { outOfOrderMs: 2 * HOUR, log });
      expect((await read(again)).map(({ labels, samples }) => [labels, samples.length])).toEqual([
        ["__name__,float", 533],
        ...(withHistograms ? [["__name__,histogram", 300]] : []),
      ]);
      expect(warnings).toEqual([]);
      await again.close();
    }, 60_000);
  }
}

describeWith("prometheus", "floats in Debian's Prometheus", () => body("prometheus", false));
describeWithPrometheus3("all in a Prometheus 3", (program) => body(program, true));
