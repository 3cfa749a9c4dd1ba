/**
 * A real Prometheus scrapes itself and us, and remote-writes to `cairn all`: what dashboards ask is answered by both
 * alike, to the last digit, also after a restart of ours.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import {
  ask,
  canonical,
  type Cairn,
  describeWith,
  freePort,
  run,
  startCairn,
  temporaryFolder,
  until,
} from "../support/process.ts";
import { DASHBOARD_QUERIES } from "../support/queries.ts";

const SCRAPE_SECONDS = Number(process.env["SCRAPE_SECONDS"] ?? 30);

describeWith("prometheus", "beside a real Prometheus", () => {
  const { path, cleanup } = temporaryFolder("prometheus");
  afterAll(cleanup);

  test(`${DASHBOARD_QUERIES.length} queries, instant and range`, async () => {
    const first = await startCairn(join(path, "cairn"));
    const port = await freePort();
    const config = [
      "global: {scrape_interval: 1s}",
      "scrape_configs:",
      `  - {job_name: prometheus, static_configs: [{targets: ["127.0.0.1:${port}"]}]}`,
      `  - {job_name: cairn, static_configs: [{targets: ["${first.http.slice("http://".length)}"]}]}`,
      "remote_write:",
      `  - {url: "${first.remoteWrite}", queue_config: {batch_send_deadline: 500ms}}`,
    ].join("\n");
    writeFileSync(join(path, "prometheus.yml"), config);
    const flags = [
      `--config.file=${join(path, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(path, "tsdb")}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ];
    const prometheus = run("prometheus", flags);
    const base = `http://127.0.0.1:${port}`;
    try {
      await until("Prometheus is ready", async () =>
        (await fetch(`${base}/-/ready`).catch(() => undefined))?.ok === true ? true : undefined,
      );
      const startedAt = Math.floor(Date.now() / 1000);
      await sleep(SCRAPE_SECONDS * 1000);
      const end = Math.floor(Date.now() / 1000) - 3;
      await until("the last scrape has arrived", async () => {
        const answer = await ask(first.http, "query", { query: "count(up)", time: String(end + 1) });
        return answer.data.result[0]?.value?.[1] === "2" ? true : undefined;
      });
      // Times in the past, off the grid of scrapes: 2.42's ranges are closed at both ends, 3.x's open at the left.
      const times = [end - 0.45, end - 3.45].map(String);
      const compare = async (cairn: Cairn): Promise<void> => {
        let withData = 0;
        for (const query of [...DASHBOARD_QUERIES, `go_goroutines @ ${end - 2.45}`]) {
          for (const time of times) {
            const ours = canonical(await ask(cairn.http, "query", { query, time }));
            expect(ours, `${query} at ${time}`).toBe(canonical(await ask(base, "query", { query, time })));
            if (ours.includes("metric")) withData++;
          }
          const params = { query, start: String(startedAt + 17.55), end: String(end - 0.45), step: "3" };
          expect(canonical(await ask(cairn.http, "query_range", params)), `${query} as a range`).toBe(
            canonical(await ask(base, "query_range", params)),
          );
        }
        expect(withData).toBeGreaterThan(DASHBOARD_QUERIES.length);
      };
      await compare(first);
      expect(await prometheus.stop()).not.toBeNull();
      expect(await first.stop()).toBe(0);
      const again = run("prometheus", flags);
      await until("Prometheus is back", async () =>
        (await fetch(`${base}/-/ready`).catch(() => undefined))?.ok === true ? true : undefined,
      );
      const second = await startCairn(join(path, "cairn"));
      await compare(second);
      expect(await second.stop()).toBe(0);
      await again.stop();
    } finally {
      await prometheus.stop("SIGKILL");
      await first.stop("SIGKILL");
    }
  }, 180_000);
});
