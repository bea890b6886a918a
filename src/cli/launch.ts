/**
 * How this command was started, byte for byte. Node decodes arguments and variables as UTF-8, which loses other bytes;
 * its process keeps them in /proc. It also sets ignored signals to their defaults, raises the soft limit of open files,
 * and keeps descriptors from children, before any JavaScript runs. The file `dragonlock`, which starts Node, has noted
 * these in a variable:
 *
 *     DRAGONLOCK_LAUNCH     process id of that shell, its mask of ignored signals in hex, its soft limit, and for `lock`
 *                           each descriptor above 2 that was open
 *     DRAGONLOCK_LAUNCH_n   pieces of its environment in base64, for `lock`
 *
 * If Node was started without it, the environment is this process's own, no signal counts as ignored, no descriptor as
 * given, and the limit is that of the parent process, if both may raise it to the same number.
 */
import os from 'node:os';
import { UsageError } from './exit-codes.ts';
import { readProc } from './files.ts';

export interface OpenFiles {
  readonly soft: number;
  readonly hard: number;
}

export interface Launch {
  /** The arguments without node and script. */
  readonly args: readonly Buffer[];
  /** As it came: entries may lack `=`, and names may come twice. */
  readonly environment: readonly Buffer[];
  readonly ignoredSignals: readonly NodeJS.Signals[];
  /** Undefined: unknown, or as it is now. */
  readonly openFiles: OpenFiles | undefined;
  /** Above 2: those that were opened for the command. */
  readonly descriptors: readonly number[];
  /** @throws UsageError if one of the first `count` arguments is not UTF-8, because it would be another name then */
  requireText(count: number): void;
}

const variable = 'DRAGONLOCK_LAUNCH';

/** Takes the notes out of `process.env`. @param count of the arguments without node and script */
export function takeLaunch(count: number): Launch {
  const { notes, pieces } = takeNotes(process.env);
  const args =
    count === 0 ? [] : (entriesOf(readProc('self/cmdline'))?.slice(-count) ?? asBytes(process.argv.slice(-count)));
  return {
    args,
    get environment() {
      if (pieces.length > 0) return entriesOf(Buffer.from(pieces.join(''), 'base64'))!;
      const variables = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
      const own = entriesOf(readProc('self/environ')) ?? asBytes(variables);
      return own.filter((entry) => !entry.toString('latin1').startsWith(variable));
    },
    ignoredSignals: notes === undefined ? [] : signalsIn(notes.ignored),
    descriptors: notes?.descriptors ?? [],
    get openFiles() {
      return openFiles(notes?.soft);
    },
    requireText(wanted) {
      for (const [i, bytes] of args.slice(0, wanted).entries()) {
        if (isText(bytes)) continue;
        throw new UsageError(`argument ${i + 1}: expected UTF-8, got ${JSON.stringify(bytes.toString('latin1'))}`);
      }
    },
  };
}

/** Whether the bytes are UTF-8, so that a string holds them without loss. */
export function isText(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString('utf8')).equals(bytes);
}

interface Notes {
  readonly ignored: bigint;
  readonly soft: number;
  readonly descriptors: readonly number[];
}

function takeNotes(env: NodeJS.ProcessEnv): { notes: Notes | undefined; pieces: string[] } {
  const [pid, ignored = '', soft = '', ...descriptors] = (env[variable] ?? '').split(' ');
  const pieces: string[] = [];
  for (let i = 0; env[`${variable}_${i}`] !== undefined; i += 1) pieces.push(env[`${variable}_${i}`]!);
  for (const name of Object.keys(env)) if (name.startsWith(variable)) delete env[name];
  // Other notes are those of a process further up. As process 1 the shell stays, as our parent.
  const ours = Number(pid) === process.pid || (Number(pid) === process.ppid && process.ppid === 1);
  if (!ours || !/^[\da-f]+$/i.test(ignored)) return { notes: undefined, pieces: [] };
  return {
    notes: { ignored: BigInt(`0x${ignored}`), soft: Number(soft), descriptors: descriptors.map(Number) },
    pieces,
  };
}

/** The kernel writes each entry with a NUL after it. */
function entriesOf(bytes: Buffer | undefined): Buffer[] | undefined {
  if (bytes === undefined) return undefined;
  const entries: Buffer[] = [];
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(0, from);
    const to = end < 0 ? bytes.length : end;
    entries.push(bytes.subarray(from, to));
    from = to + 1;
  }
  return entries;
}

function asBytes(texts: readonly string[]): Buffer[] {
  return texts.map((text) => Buffer.from(text));
}

function signalsIn(mask: bigint): NodeJS.Signals[] {
  return (Object.entries(os.constants.signals) as [NodeJS.Signals, number][])
    .filter(([name, number]) => name !== 'SIGIOT' && name !== 'SIGPOLL' && (mask >> BigInt(number - 1)) & 1n)
    .map(([name]) => name);
}

/** The limit of this process now. */
export function currentOpenFiles(): OpenFiles | undefined {
  return limitIn(readProc('self/limits'));
}

function openFiles(noted: number | undefined): OpenFiles | undefined {
  const now = currentOpenFiles();
  if (now === undefined) return undefined;
  if (noted !== undefined) return Number.isInteger(noted) && noted < now.soft ? { ...now, soft: noted } : undefined;
  const parent = limitIn(readProc(`${process.ppid}/limits`));
  return parent !== undefined && parent.hard === now.hard && parent.soft < now.soft ? parent : undefined;
}

function limitIn(limits: Buffer | undefined): OpenFiles | undefined {
  const [, soft, hard] = /^Max open files +(\d+) +(\d+)/m.exec(limits?.toString('latin1') ?? '') ?? [];
  return soft === undefined ? undefined : { soft: Number(soft), hard: Number(hard) };
}
