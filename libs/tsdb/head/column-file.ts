/**
 * A file with a tree of values whose arrays lie in it as they lie in memory: reading it makes nothing but them.
 *
 *   magic u32 │ bytes of the tree u32 │ crc32 of it u32 │ tree │ arrays
 *
 * The tree is in V8's format for structured clones; of each array it has type, length and CRC-32, which zlib has at
 * 5 GB a second. It is for this version on this kind of machine, and for nobody else.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { DefaultDeserializer, DefaultSerializer } from "node:v8";
import { crc32 } from "node:zlib";
import { assert } from "#libs/kit/assert.ts";
import { CorruptionError } from "#libs/kit/errors.ts";
import { ByteReader } from "../encoding/reader.ts";
import { FileWriter, readAt } from "../files.ts";

const HEAD_BYTES = 12;
/** Most bytes of an array that a step of reading takes. */
const STEP_BYTES = 4 << 20;
const TYPES = [Uint8Array, Uint32Array, Float64Array];
/** Arrays of up to so many bytes are in the tree: reading each by itself takes longer. */
const SMALL_BYTES = 4096;

type Column = Uint8Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;

/** Writes a file that must not exist, durable once this resolves. `magic`: of what the tree is, with its version. */
export async function writeColumnFile(path: string, magic: number, tree: unknown): Promise<void> {
  const serializer = new ColumnSerializer();
  serializer.writeHeader();
  serializer.writeValue(tree);
  const bytes = serializer.releaseBuffer();
  const file = new FileWriter(path);
  try {
    file.out.u32(magic);
    file.out.u32(bytes.length);
    file.out.u32(crc32(bytes));
    file.write(bytes);
    for (const column of serializer.columns) file.write(bytesOf(column));
    await file.sync();
    file.close();
  } finally {
    file.abandon();
  }
}

/**
 * Its tree, by steps; undefined where `isWanted` says no to it, whose arrays have nothing yet. They are fresh memory of
 * their own.
 *
 * @throws CorruptionError; V8's error for a format it does not know.
 */
export function* readColumnFileSteps(
  path: string,
  magic: number,
  isWanted: (tree: unknown) => boolean,
): Generator<void, unknown> {
  const fd = openSync(path, "r");
  try {
    const head = new ByteReader(readAt(fd, 0, HEAD_BYTES), path, 0);
    if (head.u32() !== magic) head.fail("magic number");
    const bytes = readAt(fd, HEAD_BYTES, head.u32());
    if (crc32(bytes) !== head.u32()) throw new CorruptionError(path, HEAD_BYTES, "checksum");
    const deserializer = new ColumnDeserializer(bytes);
    deserializer.readHeader();
    const tree: unknown = deserializer.readValue();
    if (!isWanted(tree)) return undefined;
    let at = HEAD_BYTES + bytes.length;
    for (const { column, crc } of deserializer.columns) {
      const target = bytesOf(column);
      let sum = 0;
      for (let from = 0; from < target.length; from += STEP_BYTES) {
        const length = Math.min(STEP_BYTES, target.length - from);
        if (readSync(fd, target, from, length, at + from) !== length) throw new CorruptionError(path, at, "cut short");
        sum = crc32(target.subarray(from, from + length), sum);
        yield;
      }
      if (sum !== crc) throw new CorruptionError(path, at, "checksum");
      at += target.length;
    }
    return tree;
  } finally {
    closeSync(fd);
  }
}

function bytesOf(view: Column): Uint8Array<ArrayBuffer> {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

class ColumnSerializer extends DefaultSerializer {
  readonly columns: Column[] = [];

  _writeHostObject(column: Column): void {
    const type = TYPES.findIndex((known) => column instanceof known);
    assert(type >= 0, "a column of a type that is not written");
    this.writeUint32(type);
    this.writeUint32(column.length);
    if (column.byteLength <= SMALL_BYTES) {
      this.writeRawBytes(bytesOf(column));
      return;
    }
    this.writeUint32(crc32(bytesOf(column)));
    this.columns.push(column);
  }
}

class ColumnDeserializer extends DefaultDeserializer {
  readonly columns: { readonly column: Column; readonly crc: number }[] = [];

  _readHostObject(): Column {
    const type = TYPES[this.readUint32()]!;
    const column = new type(this.readUint32());
    if (column.byteLength <= SMALL_BYTES) bytesOf(column).set(this.readRawBytes(column.byteLength));
    else this.columns.push({ column, crc: this.readUint32() });
    return column;
  }
}
