/** Why the server cannot start, in one line for people: what is wrong, and what to do. */
import path from 'node:path';
import { getSystemErrorName } from 'node:util';
import type { Config } from '../front-end/config-schema.ts';
import { listenText, OpenToOthers } from '../front-end/listen.ts';
import { JournalCorruption } from '../journal/file/journal-corruption.ts';
import { DamagedMark, NotRestored } from '../backup/restore/restore-marks.ts';
import { UnsupportedFormat } from '../journal/file/segment.ts';
import { DamagedStore, isLmdbDamage } from '../storage/lmdb/damaged-store.ts';
import { isNewerData } from '../shared/newer-data.ts';
import { DataDirectoryInUse } from './data-directory/data-directory-lock.ts';
import { StoreMismatch } from './data-directory/open-data-directory.ts';
import { OlderThanBackup } from './backups.ts';
import { PortHeld } from './exclusive-port.ts';
import { TooFewFiles } from './open-files.ts';

/** The message of each says all. */
const told = [
  JournalCorruption,
  UnsupportedFormat,
  DataDirectoryInUse,
  StoreMismatch,
  NotRestored,
  DamagedMark,
  DamagedStore,
  OlderThanBackup,
  PortHeld,
  OpenToOthers,
  TooFewFiles,
];

const chooseAddress = 'choose another address (--listen)';
const listenReasons: Readonly<Record<string, string>> = {
  EADDRINUSE: `the address is in use. Stop the server that uses it, or ${chooseAddress}.`,
  EADDRNOTAVAIL: `this machine does not have the address. Expected one of its own, such as 127.0.0.1; ${chooseAddress}.`,
  EACCES: `this user may not. Ports below 1024 need a privilege: take a higher port (--listen).`,
  EPERM: `this user may not. Ports below 1024 need a privilege: take a higher port (--listen).`,
  EAFNOSUPPORT: `this machine does not speak this kind of address; ${chooseAddress}.`,
  EINVAL: `the address cannot be listened on. Give a link-local address with its interface, or ${chooseAddress}.`,
  ENOTFOUND: `the name has no address. Check its spelling and the DNS, or ${chooseAddress}.`,
  EAI_AGAIN: `the DNS did not answer. Try again, or give the address as numbers (--listen).`,
};

const chooseDirectory = 'choose another data directory (--data-dir)';
const fileReasons: Readonly<Record<string, string>> = {
  ENOTDIR: `a part of the path is not a directory. Move that file away, or ${chooseDirectory}.`,
  EEXIST: `something that is not a directory has its name. Move that away, or ${chooseDirectory}.`,
  EISDIR: `it is a directory, and a file was expected. Move it away, or ${chooseDirectory}.`,
  ENOENT: `it cannot be made or opened in that place. Make its parent, or ${chooseDirectory}.`,
  EACCES: `this user has no right to. Give the data directory to this user (chown), or ${chooseDirectory}.`,
  EPERM: `this user has no right to. Give the data directory to this user (chown), or ${chooseDirectory}.`,
  EROFS: `the file system is read-only. Mount it writable, or ${chooseDirectory}.`,
  ENOSPC: `the disk is full. Free some space, or ${chooseDirectory}.`,
  EDQUOT: `the disk quota is used up. Free some space, or ${chooseDirectory}.`,
  EMFILE: 'the process may not open more files. Raise its limit (ulimit -n; LimitNOFILE of a unit).',
  ENFILE: 'the system may not open more files. Raise fs.file-max (sysctl).',
  ELOOP: `too many symbolic links lead there. Mend them, or ${chooseDirectory}.`,
  ENAMETOOLONG: `the path is too long; ${chooseDirectory}.`,
  EIO: 'the disk reports an error. Check it (dmesg) before you start again.',
};

/** @returns undefined for a bug, whose stack is needed */
export function startErrorLine(error: unknown, { listen, data_dir }: Config): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if (isNewerData(error) || told.some((kind) => error instanceof kind)) return error.message;
  if (isLmdbDamage(error)) return new DamagedStore(path.join(data_dir, 'store'), error.message).message;
  const code = codeOf(error);
  if (code === undefined) return undefined;
  const { syscall, path: file } = error as NodeJS.ErrnoException;
  if (['listen', 'bind', 'getaddrinfo'].includes(syscall ?? '')) {
    const reason = listenReasons[code] ?? `${error.message}; ${chooseAddress}.`;
    return `Cannot listen on ${listen.map(listenText).join(', ')}: ${reason} [${code}]`;
  }
  const reason = fileReasons[code];
  if (reason === undefined) return `Cannot start: ${error.message}`;
  return `Cannot use the data directory ${data_dir}${file === undefined ? '' : ` (${file})`}: ${reason} [${code}]`;
}

/** LMDB gives the number of the error. */
function codeOf(error: Error): string | undefined {
  const code: unknown = 'code' in error ? error.code : undefined;
  if (typeof code === 'string') return code;
  if (typeof code !== 'number' || code <= 0) return undefined;
  try {
    return getSystemErrorName(-code);
  } catch {
    return undefined;
  }
}
