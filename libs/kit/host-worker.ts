import { runHostWorker } from "./host.ts";

runHostWorker();
