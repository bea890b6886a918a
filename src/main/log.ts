/**
 * The log: JSON lines on standard output (pino). A line that cannot be written is lost and counted; it never stops the
 * server, nor ends it, because the disk or the reader of the log is not what clients depend on.
 *
 * Writing is synchronous, so that the last line of a process that goes down is out before it ends. A pipe or a terminal
 * that nobody reads would block such a write for ever. So the log opens them once more for itself, non-blocking (setting
 * the flag on the inherited descriptor would change it for whoever else uses it). What they do not take waits in memory,
 * up to `waitingBytesMax`, and is tried again with each line and ten times a second.
 */
import { pino, type Logger } from 'pino';
import { wallMs, type Every } from '../shared/clock.ts';
import type { LogLevel } from '../shared/log-levels.ts';
import { openForLog } from '../shared/raw-output.ts';

export interface LogOutput {
  /** Writes some of it. @returns the bytes written, 0 if it would block @throws errors of the file system */
  write(bytes: Buffer): number;
}

export interface LogLinesOptions {
  readonly output: LogOutput;
  /** Counts lines that are lost. */
  readonly onLost: (lines: number) => void;
  readonly every: Every;
}

const waitingBytesMax = 256 * 1024;
const retryMs = 100;
/** How long the last lines of a process are tried. */
const lastTries = 20;
const lastTryMs = 10;

interface WaitingLine {
  /** What is still to be written of it. */
  bytes: Buffer;
  /** A part of it is out. */
  begun: boolean;
  readonly lines: number;
  /** How many lost lines it tells of. */
  readonly tells: number;
}

/** Where pino writes to. */
export class LogLines {
  readonly #options: LogLinesOptions;
  #waiting: WaitingLine[] = [];
  #waitingBytes = 0;
  /** Lost lines that no later line has told of. */
  #untold = 0;
  /** Why writing failed the last time; undefined: it did not. */
  #failure: string | undefined;
  /** The end of a line that was begun is lost: the next one must not go on in it. */
  #torn = false;
  #endRetries: (() => void) | undefined;

  constructor(options: LogLinesOptions) {
    this.#options = options;
  }

  /** Takes one line, or several that are written or lost together. Never throws. */
  write(line: string, lines = 1): void {
    const told = this.#untold === 0 ? '' : this.#lostLine();
    const bytes = Buffer.from(`${this.#torn ? '\n' : ''}${told}${line}`);
    if (this.#waitingBytes + bytes.length > waitingBytesMax) this.#lose(lines);
    else {
      this.#waiting.push({ bytes, begun: false, lines, tells: this.#untold });
      this.#waitingBytes += bytes.length;
      this.#untold = 0;
      this.#torn = false;
    }
    this.#flush();
  }

  /** Tries for a moment to write what waits. @returns whether every line is out */
  flushLast(): boolean {
    for (let tries = 0; tries < lastTries && this.#waiting.length > 0; tries += 1) {
      if (tries > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lastTryMs);
      this.#flush();
    }
    return this.#waiting.length === 0 && this.#failure === undefined;
  }

  #flush(): void {
    try {
      for (let [first] = this.#waiting; first !== undefined; [first] = this.#waiting) {
        const written = this.#options.output.write(first.bytes);
        this.#failure = undefined;
        if (written === 0) break;
        this.#waitingBytes -= written;
        first.begun = true;
        first.bytes = first.bytes.subarray(written);
        if (first.bytes.length === 0) this.#waiting.shift();
      }
    } catch (error) {
      this.#failure = error instanceof Error ? error.message : String(error);
      this.#dropWaiting();
    }
    if (this.#waiting.length > 0) this.#endRetries ??= this.#options.every(retryMs, () => this.#flush());
    else {
      this.#endRetries?.();
      this.#endRetries = undefined;
    }
  }

  #dropWaiting(): void {
    this.#torn ||= this.#waiting[0]?.begun === true;
    let lost = 0;
    for (const { tells, lines } of this.#waiting) {
      this.#untold += tells;
      lost += lines;
    }
    this.#lose(lost);
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  #lose(lines: number): void {
    this.#untold += lines;
    this.#options.onLost(lines);
  }

  #lostLine(): string {
    const msg = `Lines of the log were lost: ${this.#failure ?? 'nobody read them in time'}`;
    return `${JSON.stringify({ level: pino.levels.values['warn'], time: wallMs(), lines: this.#untold, msg })}\n`;
  }
}

export interface ServerLog {
  readonly log: Logger;
  /** Writes what waits, for a moment. @returns whether every line is out */
  readonly flushLast: () => boolean;
  /** Writes lines that are made already, each with its line feed. */
  readonly writeLines: (text: string, lines: number) => void;
}

export function openLog(level: LogLevel, every: Every, onLost: (lines: number) => void): ServerLog {
  const lines = new LogLines({ output: openForLog(1), onLost, every });
  const log = pino({ level, redact: ['token', 'authorization', '*.token', '*.authorization'] }, lines);
  const writeLines = (text: string, count: number): void => lines.write(text, count);
  return { log, flushLast: () => lines.flushLast(), writeLines };
}
