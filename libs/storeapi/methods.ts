/** Paths of the methods that a Store is served under. */
export const METHODS = {
  info: "/thanos.info.Info/Info",
  series: "/thanos.Store/Series",
  labelNames: "/thanos.Store/LabelNames",
  labelValues: "/thanos.Store/LabelValues",
} as const;
