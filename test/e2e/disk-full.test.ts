/** A full disk: writes answer 503 with the reason, readiness says it, and all goes on when there is space again. */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ask, startCairn, temporaryFolder, until } from "../support/process.ts";
import { write } from "../support/write.ts";

const START = 1_700_000_000_000;
const folder = temporaryFolder("full");
const mount = join(folder.path, "mount");
mkdirSync(mount);
const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", mount]).status === 0;
const describeMounted = mounted ? describe : describe.skip;

describeMounted(mounted ? "disk full" : "disk full (needs the right to mount a tmpfs)", () => {
  test("refused with the reason, recovers, loses nothing acknowledged", async () => {
    try {
      const data = join(mount, "data");
      const cairn = await startCairn(data);
      let acknowledged = 0;
      const send = async (i: number): Promise<Response> =>
        write(
          cairn.remoteWrite,
          Array.from({ length: 200 }, (_, k) => ({
            labels: { __name__: "full", k: String(k) },
            samples: [[START + i * 1000, i]] as const,
          })),
        );
      for (; acknowledged < 20; acknowledged++) expect((await send(acknowledged)).status).toBe(204);
      // Somebody else fills the disk.
      const filler = join(mount, "filler");
      let fills = 0;
      for (;;) {
        try {
          writeFileSync(`${filler}-${fills}`, Buffer.alloc(64 * 1024));
          fills++;
        } catch {
          break;
        }
      }
      let refused: Response | undefined;
      for (let i = 0; i < 200 && refused === undefined; i++) {
        const response = await send(acknowledged);
        if (response.status === 204) acknowledged++;
        else refused = response;
      }
      expect(refused?.status).toBe(503);
      expect(await refused!.text()).toMatch(/write-ahead log: ENOSPC/);
      const ready = await fetch(`${cairn.http}/-/ready`);
      expect([ready.status, await ready.text()]).toEqual([503, expect.stringMatching(/ENOSPC/)]);
      // What is stored can still be asked for.
      expect(
        (await ask(cairn.http, "query", { query: "count(full)", time: String(START / 1000 + 5) })).data.result[0]!
          .value![1],
      ).toBe("200");
      for (let i = 0; i < fills; i++) rmSync(`${filler}-${i}`);
      await until("ready again", async () => ((await fetch(`${cairn.http}/-/ready`)).ok ? true : undefined));
      for (let i = 0; i < 20; i++, acknowledged++) expect((await send(acknowledged)).status).toBe(204);
      expect(cairn.process.exitCode).toBeNull();
      await cairn.stop("SIGKILL");
      const again = await startCairn(data);
      const answer = await ask(again.http, "query", { query: 'full{k="7"}[1h]', time: String(START / 1000 + 1000) });
      expect(answer.data.result[0]!.values!.map(([, v]) => Number(v))).toEqual(
        Array.from({ length: acknowledged }, (_, i) => i),
      );
      expect(await again.stop()).toBe(0);
    } finally {
      spawnSync("umount", [mount]);
      folder.cleanup();
    }
  });
});
