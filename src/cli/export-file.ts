/**
 * The file of an export, a JSON document a line:
 *
 *   {"Export":1,"Account":"acme"}
 *   {"Kind":"kv", …                lines of the account
 *   {"After":"…"}                  a page ends: the export can go on from here
 *   {"Changes":true}               what follows has changed meanwhile, and takes the place of lines before
 *   {"End":true,"Rev":62}          the export is complete
 */
import type { ExportLine, PageOfLines } from '../client/account.ts';
import { UsageError } from './exit-codes.ts';

// An import would load all that the module offers, and with it half of Node.
const fs = process.getBuiltinModule('node:fs');
const os = process.getBuiltinModule('node:os');
const path = process.getBuiltinModule('node:path');

export interface FileLine {
  readonly Kind?: string;
  readonly After?: string;
  readonly Changes?: true;
  readonly End?: true;
}

/** Lines of one page at a time are enough. */
const pageLines = 1000;
const chunkBytes = 256 * 1024;

/** @throws UsageError that names the line that is none */
export function* linesOf(file: string): Generator<{ readonly line: FileLine; readonly end: number }, void, undefined> {
  const descriptor = open(file);
  try {
    let rest: Buffer = Buffer.alloc(0);
    let [end, number] = [0, 0];
    for (const chunk = Buffer.alloc(chunkBytes); ; ) {
      const bytes = fs.readSync(descriptor, chunk);
      const all = Buffer.concat([rest, chunk.subarray(0, bytes)]);
      let from = 0;
      for (let at = all.indexOf(10); at >= 0; at = all.indexOf(10, from)) {
        number += 1;
        end += at + 1 - from;
        yield { line: parse(all.toString('utf8', from, at), `${file}, line ${number}`), end };
        from = at + 1;
      }
      rest = all.subarray(from);
      // What an interruption has cut off is no line.
      if (bytes === 0) return;
    }
  } finally {
    fs.closeSync(descriptor);
  }
}

function open(file: string): number {
  try {
    return fs.openSync(file, 'r');
  } catch (error) {
    throw new UsageError(`Cannot read ${file}: ${(error as Error).message}`);
  }
}

function parse(text: string, where: string): FileLine {
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch {
    // It is refused below.
  }
  if (typeof line === 'object' && line !== null && !Array.isArray(line)) return line;
  throw new UsageError(`${where}: expected a line of an export, got ${text.slice(0, 60)}`);
}

/** The pages of an export. */
export function* pagesOf(file: string): Generator<PageOfLines, void, undefined> {
  let changes = false;
  let lines: ExportLine[] = [];
  for (const { line } of linesOf(file)) {
    if (line.Changes === true || lines.length >= pageLines) {
      yield { lines, changes };
      lines = [];
      changes ||= line.Changes === true;
    }
    if (line.Kind !== undefined) lines.push(line as ExportLine);
  }
  yield { lines, changes };
}

/** Where an interrupted export can go on; undefined: at its beginning. */
export function placeIn(file: string): { readonly after?: string; readonly changes: boolean; readonly end: number } {
  let place: { after?: string; changes: boolean; end: number } = { changes: false, end: 0 };
  let changes = false;
  for (const { line, end } of linesOf(file)) {
    if (line.End === true) throw new UsageError(`${file}: this export is complete`);
    changes ||= line.Changes === true;
    if (line.After !== undefined) place = { after: line.After, changes, end };
  }
  return place;
}

export function isComplete(file: string): boolean {
  let complete = false;
  for (const { line } of linesOf(file)) complete = line.End === true;
  return complete;
}

/** Keeps stdin in a file, because an import reads twice. */
export function spooled(read: () => string): { readonly file: string; readonly remove: () => void } {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-'));
  const file = path.join(directory, 'import');
  fs.writeFileSync(file, read(), { mode: 0o600 });
  return { file, remove: () => fs.rmSync(directory, { recursive: true, force: true }) };
}

/** Opens a file for an export. @param end what is behind it is cut off; undefined: there must be no such file yet */
export function output(file: string, end: number | undefined): { write(text: string): void; close(): void } {
  let descriptor: number;
  try {
    descriptor = fs.openSync(file, end === undefined ? 'wx' : 'r+', 0o600);
    if (end !== undefined) fs.ftruncateSync(descriptor, end);
  } catch (error) {
    throw new UsageError(`Cannot write ${file}: ${(error as Error).message}`);
  }
  let at = end ?? 0;
  return {
    write(text) {
      const bytes = Buffer.from(text);
      for (let done = 0; done < bytes.length; ) {
        done += fs.writeSync(descriptor, bytes, done, bytes.length - done, at + done);
      }
      at += bytes.length;
    },
    close() {
      fs.fsyncSync(descriptor);
      fs.closeSync(descriptor);
    },
  };
}
