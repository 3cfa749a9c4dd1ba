/**
 * Logging: one line an event, `logfmt` (the field's default) or `json`.
 *
 * Every thread writes its lines straight to standard error with one synchronous write, so that lines of
 * different threads never mix and none is lost when the process dies.
 */
import { writeSync } from "node:fs";

export type LogFormat = "logfmt" | "json";

export interface LogConfig {
  readonly level: string;
  readonly format: LogFormat;
}

type Fields = Readonly<Record<string, unknown>>;
/** Fields and what happened; either may be missing. An `err` is shown with its stack and what caused it. */
type Say = (fields: Fields | string, message?: string) => void;

const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"] as const;
type Level = (typeof LEVELS)[number];

export interface Logger extends Record<Level, Say> {
  /** A logger whose lines have these fields, too. */
  child(bindings: Fields): Logger;
}

export function createLog(config: LogConfig, bindings: Fields = {}): Logger {
  const least = LEVELS.indexOf(config.level as Level);
  const says = (level: Level): Say => {
    if (LEVELS.indexOf(level) < least) return () => undefined;
    return (fields, message) => {
      const [own, msg] = typeof fields === "string" ? [{}, fields] : [fields, message];
      const line = JSON.stringify({ level, ts: new Date(), ...bindings, ...own, msg }, plain);
      try {
        writeSync(2, `${config.format === "json" ? line : toLogfmt(line)}\n`);
      } catch (error) {
        // A full or closed pipe must not end the process; there is nowhere left to say so.
        if (!(error instanceof Error)) throw error;
      }
    };
  };
  return { ...ofLevels(says), child: (more) => createLog(config, { ...bindings, ...more }) };
}

/** A logger that says nothing, for tests and benches. */
export function silentLog(): Logger {
  return { ...ofLevels(() => () => undefined), child: silentLog };
}

function ofLevels(says: (level: Level) => Say): Record<Level, Say> {
  return Object.fromEntries(LEVELS.map((level) => [level, says(level)])) as Record<Level, Say>;
}

function plain(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (!(value instanceof Error)) return value;
  return { type: value.name, message: value.message, stack: stackOf(value) };
}

function stackOf(error: Error): string {
  const stack = error.stack ?? error.message;
  return error.cause instanceof Error ? `${stack}\ncaused by: ${stackOf(error.cause)}` : stack;
}

/** Turns a line of JSON into `ts=… level=… msg=… key=value …`. */
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
