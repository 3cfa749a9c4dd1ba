/** One `/metrics` for all threads of a process, in the text format. */
import AggregatorRegistry from "prom-client/lib/cluster.js";
import collectDefaultMetrics from "prom-client/lib/defaultMetrics.js";
import { BUILD } from "./build.ts";
import type { Host } from "./host.ts";
import { Gauge, type Registry } from "./prometheus.ts";

/** Process-wide metrics (CPU, RSS, descriptors, event loop), for the main thread only. */
export function registerProcessMetrics(registry: Registry): void {
  // Every 10 ms, the default, was a third of what an idle process takes: 8 ms of CPU a second in place of 5.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100 });
  const build = new Gauge({
    name: "cairn_build_info",
    help: "Always 1; the labels tell what is running.",
    labelNames: ["version", "nodeversion"],
    registers: [registry],
  });
  build.set({ version: BUILD.version, nodeversion: process.version }, 1);
}

/** The main thread's metrics with the workers'; equal series are added up. */
export async function joinMetrics(registry: Registry, host: Host | undefined): Promise<Registry> {
  const workers = host === undefined ? [] : await host.workerMetrics();
  return AggregatorRegistry.aggregate([await registry.getMetricsAsJSON(), ...workers]);
}

/** The same in the text format. */
export async function renderMetrics(registry: Registry, host: Host | undefined): Promise<string> {
  return (await joinMetrics(registry, host)).metrics();
}
