import { runHostWorker } from "./host.ts";
import { findOwnModules } from "./own-modules.ts";

findOwnModules();
runHostWorker();
