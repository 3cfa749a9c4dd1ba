import { type ConfigOf, duration, type OptionTable, string } from "#libs/kit/options.ts";
import { EXEMPLARS_PER_REQUEST } from "#libs/storeapi/limits.ts";

/** Flags of `store`, Thanos's names. */
export const storeGatewayOptions = {
  dataDir: string(
    "data-dir",
    "./data",
    "Folder for index headers; rebuilt from the bucket when it is lost. `all` keeps everything below it.",
  ),
  syncIntervalMs: duration(
    "sync-block-duration",
    "15m",
    "How often the bucket is searched for new and deleted blocks.",
  ),
  ignoreDeletionMarksDelayMs: duration(
    "ignore-deletion-marks-delay",
    "24h",
    "Blocks marked for deletion are still served for so long after the mark.",
  ),
  exemplarsPerRequest: EXEMPLARS_PER_REQUEST,
  objstoreConfig: string("objstore.config", "", "The bucket, as Thanos's YAML.", { secret: true }),
  objstoreConfigFile: string("objstore.config-file", "", "File with that YAML."),
} satisfies OptionTable;

export type StoreGatewayConfig = ConfigOf<typeof storeGatewayOptions>;
