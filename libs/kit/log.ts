/**
 * Logging: pino, one line an event. `logfmt` (the field's default) or `json`.
 *
 * Every thread writes its lines straight to standard error with one synchronous write, so that lines of
 * different threads never mix and none is lost when the process dies.
 */
import { writeSync } from "node:fs";
import pino, { type Logger } from "pino";

export type { Logger };

export type LogFormat = "logfmt" | "json";

export interface LogConfig {
  readonly level: string;
  readonly format: LogFormat;
}

export function createLog(config: LogConfig, bindings: Record<string, string> = {}): Logger {
  const write = (line: string): void => {
    try {
      writeSync(2, config.format === "json" ? line : `${toLogfmt(line)}\n`);
    } catch (error) {
      // A full or closed pipe must not end the process; there is nowhere left to say so.
      if (!(error instanceof Error)) throw error;
    }
  };
  return pino(
    {
      level: config.level,
      base: bindings,
      timestamp: () => `,"ts":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  );
}

/** A logger that says nothing, for tests and benches. */
export function silentLog(): Logger {
  return pino({ level: "silent" });
}

/** Turns pino's JSON line into `ts=… level=… msg=… key=value …`. */
export function toLogfmt(json: string): string {
  const { ts, level, msg, ...rest } = JSON.parse(json) as Record<string, unknown>;
  const parts = [`ts=${String(ts)}`, `level=${String(level)}`];
  if (msg !== undefined) parts.push(`msg=${quote(msg)}`);
  for (const [key, value] of Object.entries(rest)) {
    if (key === "err" && typeof value === "object" && value !== null) {
      const { message, stack } = value as { message?: string; stack?: string };
      parts.push(`err=${quote(message)}`);
      if (level === "error" || level === "fatal") parts.push(`stack=${quote(stack)}`);
    } else parts.push(`${key}=${quote(value)}`);
  }
  return parts.join(" ");
}

function quote(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  if (text === undefined) return '""';
  return /^[^\s"=\\]+$/.test(text) ? text : JSON.stringify(text);
}
