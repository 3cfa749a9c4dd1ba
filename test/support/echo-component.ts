/** A component for tests of the host: answers itself, or asks another. */
import { threadId } from "node:worker_threads";
import type { StartComponent } from "#libs/kit/host.ts";
import type { Handlers } from "#libs/kit/rpc.ts";

export const start: StartComponent<undefined> = async (_config, { peer }) =>
  ({
    echo: async (text: string) => `${text} from ${threadId}`,
    ask: ({ name, text }: { name: string; text: string }) => peer(name).call<string>("echo", text),
  }) satisfies Handlers;
