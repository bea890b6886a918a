/**
 * `<data_dir>/clock`: what the next start needs to go on with the server's time (main/server-clock.ts). One line:
 *
 *   dragonlock-clock 1 <boot id of the machine, or -> <ms since that boot> <server time> <wall time> <CRC-32 in hex>
 *
 * The three times are of one moment, in milliseconds. Each file replaces the one before it by a rename. Without a whole
 * file, a start takes wall time, which is all that it has then.
 */
import fs from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';

export interface ClockRecord {
  /** Changes with every start of the machine; undefined: the machine does not tell. */
  readonly bootId: string | undefined;
  /** Since the machine has started, with the time that it slept; 0 without a boot id. */
  readonly bootMs: number;
  readonly time: number;
  readonly wall: number;
}

const linePattern = /^(dragonlock-clock 1 ([0-9a-f-]+) (\d{1,16}) (\d{1,16}) (\d{1,16})) ([0-9a-f]{8})\n$/;

function clockFileIn(dataDirectory: string): string {
  return path.join(dataDirectory, 'clock');
}

export function encodeClockRecord({ bootId, bootMs, time, wall }: ClockRecord): string {
  const text = `dragonlock-clock 1 ${bootId ?? '-'} ${bootMs} ${time} ${wall}`;
  return `${text} ${checksum(text)}\n`;
}

/** @returns undefined for anything but a whole line */
export function decodeClockRecord(line: string): ClockRecord | undefined {
  const [, text, bootId, bootMs, time, wall, crc] = linePattern.exec(line) ?? [];
  if (text === undefined || crc !== checksum(text)) return undefined;
  const known = bootId === undefined || bootId === '-' ? undefined : bootId;
  return { bootId: known, bootMs: Number(bootMs), time: Number(time), wall: Number(wall) };
}

/** @returns 'none' before the first start, 'damaged' for a file that is not whole */
export function readClockFile(dataDirectory: string): ClockRecord | 'none' | 'damaged' {
  let text: string;
  try {
    text = fs.readFileSync(clockFileIn(dataDirectory), 'latin1');
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ENOENT' ? 'none' : 'damaged';
  }
  return decodeClockRecord(text) ?? 'damaged';
}

/**
 * @param durable syncs the file first; a crash of the process alone never needs that
 * @throws errors of the file system
 */
export function writeClockFile(dataDirectory: string, record: ClockRecord, durable: boolean): void {
  const file = clockFileIn(dataDirectory);
  const fd = fs.openSync(`${file}.tmp`, 'w', 0o600);
  try {
    fs.writeSync(fd, encodeClockRecord(record));
    if (durable) fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(`${file}.tmp`, file);
}

/** The machine's own clock, which nobody can set: undefined where the kernel does not tell (`/proc` is not there). */
export function readMachineClock(): { readonly bootId: string; readonly bootMs: number } | undefined {
  try {
    const bootId = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    // CLOCK_BOOTTIME, in hundredths of a second: unlike the clock of `process.hrtime` it goes on in a suspend.
    const seconds = Number(fs.readFileSync('/proc/uptime', 'latin1').split(' ', 1)[0]);
    return /^[0-9a-f-]{36}$/.test(bootId) && seconds >= 0 ? { bootId, bootMs: Math.round(seconds * 1000) } : undefined;
  } catch {
    return undefined;
  }
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}
