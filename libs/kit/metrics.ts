/** One `/metrics` for all threads of a process, in the text format. */
import { AggregatorRegistry, collectDefaultMetrics, Gauge, type Registry } from "prom-client";
import { BUILD } from "./build.ts";
import type { Host } from "./host.ts";

/** Process-wide metrics (CPU, RSS, descriptors, event loop), for the main thread only. */
export function registerProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry });
  const build = new Gauge({
    name: "cairn_build_info",
    help: "Always 1; the labels tell what is running.",
    labelNames: ["version", "nodeversion"],
    registers: [registry],
  });
  build.set({ version: BUILD.version, nodeversion: process.version }, 1);
}

/** Joins the main thread's metrics with the workers'; equal series are added up. */
export async function renderMetrics(registry: Registry, host: Host | undefined): Promise<string> {
  const workers = host === undefined ? [] : await host.workerMetrics();
  const all = [await registry.getMetricsAsJSON(), ...workers];
  return AggregatorRegistry.aggregate(all).metrics();
}
