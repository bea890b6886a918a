/** What `dragonlock doctor` asks the machine. */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { DataDirectoryInUse, lockDataDirectoryToRead } from '../data-directory/data-directory-lock.ts';

export interface DirectoryFound {
  readonly exists: boolean;
  readonly isMine: boolean;
  /** Its permissions. */
  readonly mode: number;
  readonly fileSystem: string;
  readonly freeBytes: number;
  readonly freeFiles: number;
  /** The directory itself, or the nearest one above it that there is. */
  readonly at: string;
}

/** By the number that statfs(2) tells. */
const fileSystems: Readonly<Record<number, string>> = {
  0xef53: 'ext4',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x2fc12fc1: 'zfs',
  0x01021994: 'tmpfs',
  0x794c7630: 'overlay',
  0x6969: 'nfs',
  0xff534d42: 'cifs',
  0xfe534d42: 'cifs',
  0x65735546: 'fuse',
};

/** @returns why it cannot be used, if so */
export function look(directory: string): DirectoryFound | string {
  let at = path.resolve(directory);
  while (!fs.existsSync(at)) at = path.dirname(at);
  const stat = fs.statSync(at);
  if (!stat.isDirectory()) return `${at} is not a directory`;
  const { type, bavail, bsize, ffree } = fs.statfsSync(at);
  const exists = at === path.resolve(directory);
  try {
    fs.accessSync(at, fs.constants.W_OK | fs.constants.X_OK);
  } catch {
    return exists ? 'this user may not write there' : `it is not there, and this user may not make it in ${at}`;
  }
  return {
    exists,
    isMine: stat.uid === process.getuid?.(),
    mode: stat.mode & 0o777,
    fileSystem: fileSystems[type] ?? `unknown (0x${type.toString(16)})`,
    freeBytes: bavail * bsize,
    // Some file systems have no such number.
    freeFiles: ffree === 0 ? Infinity : ffree,
    at,
  };
}

const writes = 300;

/** Writes 4 KiB and syncs, again and again. @returns microseconds of half of them, and of 99 of 100, at most */
export async function syncMicros(directory: string): Promise<{ p50: number; p99: number }> {
  const file = path.join(directory, `doctor-${process.pid}`);
  const fd = fs.openSync(file, 'w', 0o600);
  try {
    const block = Buffer.alloc(4096, 1);
    const took: number[] = [];
    for (let i = 0; i < writes; i += 1) {
      const began = process.hrtime.bigint();
      fs.writeSync(fd, block, 0, block.length, (i % 64) * block.length);
      fs.fdatasyncSync(fd);
      took.push(Number(process.hrtime.bigint() - began) / 1000);
    }
    took.sort((a, b) => a - b);
    return { p50: took[Math.floor(writes / 2)]!, p99: took[Math.floor(writes * 0.99)]! };
  } finally {
    fs.closeSync(fd);
    fs.rmSync(file, { force: true });
  }
}

/** @returns undefined where nobody tells */
export async function clockIsSynced(): Promise<boolean | undefined> {
  try {
    const { stdout } = await promisify(execFile)('timedatectl', ['show', '-p', 'NTPSynchronized', '--value']);
    return stdout.trim() === 'yes';
  } catch {
    return undefined;
  }
}

/** How many connections wait to be accepted at most; undefined where the kernel does not tell. */
export function backlogMax(): number | undefined {
  try {
    return Number(fs.readFileSync('/proc/sys/net/core/somaxconn', 'latin1'));
  } catch {
    return undefined;
  }
}

/** @returns `pid 17`, the server that uses the directory; undefined: none does */
export function userOf(directory: string): string | undefined {
  try {
    lockDataDirectoryToRead(directory).release();
    return undefined;
  } catch (error) {
    return error instanceof DataDirectoryInUse ? (/pid \d+/.exec(error.message)?.[0] ?? 'another server') : undefined;
  }
}

/** @returns why nobody can listen there now, as an error code */
export function whyNotFree({
  host,
  port,
}: {
  readonly host: string;
  readonly port: number;
}): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const server = net.createServer();
  server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  return promise;
}

/** @returns undefined where there is no systemd; `not installed` */
export async function unitState(): Promise<string | undefined> {
  if (!fs.existsSync('/run/systemd/system')) return undefined;
  try {
    const { stdout } = await promisify(execFile)('systemctl', ['is-enabled', 'dragonlock.service']);
    return stdout.trim();
  } catch (error) {
    const said = (error as { readonly stdout?: string }).stdout?.trim() ?? '';
    return said === '' ? 'not installed' : said;
  }
}
