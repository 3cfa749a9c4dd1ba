/**
 * The file `lock` of a data folder: one process at a time. Prometheus holds flock(2) on it, which Node cannot take, so
 * ours says who it is by process id and start time, and a lock that another process holds is looked up in /proc/locks.
 * Hence: we do not start on a folder that Prometheus or one of us uses; Prometheus does not see that we use one.
 */
import { readdirSync, readFileSync, rmSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { codeOf, UnavailableError } from "#libs/kit/errors.ts";
import { writeFileAtomic } from "./files.ts";

/** Takes the folder's lock. @returns what gives it back. @throws UnavailableError naming the process that has it. */
export function lockFolder(folder: string): () => void {
  const file = join(folder, "lock");
  const own = `${process.pid} ${startOf(process.pid)}`;
  const holder = flockHolder(file) ?? ownerIn(file);
  if (holder !== undefined) {
    throw new UnavailableError(`${folder} is used by process ${holder}: stop it first, or use another folder`);
  }
  writeFileAtomic(file, `${own}\n`);
  return () => {
    if (readText(file)?.trim() === own) rmSync(file);
  };
}

/** The living process that the file names. */
function ownerIn(file: string): number | undefined {
  const [pid, start] = (readText(file) ?? "").trim().split(" ");
  const id = Number(pid);
  if (start === undefined || !Number.isSafeInteger(id) || id <= 0) return undefined;
  // After a restart another process may have the same id, in a container mostly it has.
  return isAlive(id) && startOf(id) === start ? id : undefined;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM"; // it lives, and is another user's
  }
}

/** When a process started, in ticks since boot; "-" where there is no /proc. */
function startOf(pid: number): string {
  return readText(`/proc/${pid}/stat`)?.split(") ").at(-1)?.split(" ")[19] ?? "-";
}

/** The process that holds flock(2) on the file; undefined without /proc, too. */
function flockHolder(file: string): number | undefined {
  const own = statOf(file);
  if (own === undefined) return undefined;
  for (const line of (readText("/proc/locks") ?? "").split("\n")) {
    // 1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF
    const [, kind, , , pid, where] = line.trim().split(/\s+/);
    if (kind !== "FLOCK" || where?.split(":")[2] !== String(own.ino)) continue;
    if (hasOpen(Number(pid), own)) return Number(pid);
  }
  return undefined;
}

/** Whether the process has that very file open: other disks have files of the same number. True when it may not be seen. */
function hasOpen(pid: number, { dev, ino }: Stats): boolean {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).some((fd) => {
      const other = statOf(join(folder, fd));
      return other?.dev === dev && other.ino === ino;
    });
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    if (codeOf(error) === "EACCES") return true;
    throw error;
  }
}

function statOf(file: string): Stats | undefined {
  return statSync(file, { throwIfNoEntry: false });
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ESRCH") return undefined;
    throw error;
  }
}
