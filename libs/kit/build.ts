/** What this is. `prometheus` is the version whose behaviour and API it answers with. */
export const BUILD = { version: "0.1.0", prometheus: "3.14.0" } as const;
