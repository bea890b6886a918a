/** `dragonlock backup`, `backups`, `verify` and `restore`. All but the first are the server's, which only a checkout has. */
import { UnreachableError } from '../client/errors.ts';
import { processMs, systemAfter } from '../shared/clock.ts';
import { attempt, loadModule, type OnProgress, type RestoreRequest, type StorageOptions } from './backup-module.ts';
import type { Run } from './command-spec.ts';
import { BackupCommandError, exitCodes, NegativeResult, UsageError } from './exit-codes.ts';
import type { Invocation, Options } from './invocation.ts';
import { parseDuration, parseInteger } from './parse.ts';
import { megabytes, Progress } from './progress.ts';
import { rawCalls, type RawCalls } from './raw-calls.ts';

const pollMs = 200;
const storageNames = ['config', 'endpoint', 'region', 'path-style'];
const graceDefault = '60s';

interface BackupStatus {
  readonly Asked?: number;
  readonly State: string;
  readonly CopiesTaken: number;
  readonly AdoptsTaken: number;
  readonly CopyRev: number;
  readonly CopyingRows: number;
}

export const runBackup: Run = async (invocation, { args, options }) => {
  const [adopt] = args;
  if (adopt !== undefined && adopt !== 'adopt') throw new UsageError(`backup: expected adopt or nothing, got ${adopt}`);
  const dataDirectory = options['data-dir'];
  if (typeof dataDirectory === 'string') return backupStopped(invocation, dataDirectory, options);
  const unused = ['to', ...storageNames].find((name) => options[name] !== undefined);
  if (unused !== undefined)
    throw new UsageError(`backup: --${unused} goes with --data-dir, for a server that is stopped`);
  const calls = await rawCalls({ ...invocation.connection(), account: 'any' });
  try {
    const path = adopt === undefined ? '/admin/backups' : '/admin/backups/adopt';
    let status = await ask(calls, 'POST', path);
    const asked = status.Asked ?? 0;
    const isDone = (): boolean => (adopt === undefined ? status.CopiesTaken : status.AdoptsTaken) >= asked;
    const waits = options['wait'] === true || adopt !== undefined;
    const progress = new Progress(invocation.terminal, 'Copying', processMs);
    for (let done = !waits || isDone(); !done; done = isDone()) {
      if (isRefusing(status.State) && adopt === undefined) throw new NegativeResult(stateText(status.State));
      await new Promise<void>((resolve) => void systemAfter(pollMs, resolve));
      status = await ask(calls, 'GET', '/admin/backups');
      progress.show(0, 0, `${status.CopyingRows} entries`);
    }
    progress.end();
    if (adopt !== undefined && isRefusing(status.State)) throw new NegativeResult(stateText(status.State));
    if (invocation.json) invocation.terminal.json(status);
    else if (adopt !== undefined) invocation.terminal.line('This server makes the backups now.');
    else if (options['wait'] === true) invocation.terminal.line(`A copy is done, as of revision ${status.CopyRev}.`);
    else invocation.terminal.line('A copy is asked for; dragonlock backups lists it when it is done.');
  } finally {
    await calls.close();
  }
};

async function backupStopped(invocation: Invocation, dataDirectory: string, options: Options): Promise<void> {
  const { to } = options;
  const module = await loadModule();
  const progress = new Progress(invocation.terminal, 'Copying', processMs);
  const request = {
    ...storageOf(typeof to === 'string' ? to : undefined, options),
    dataDirectory,
    onRows: (rows: number) => progress.show(0, 0, `${rows} entries`),
  };
  const done = await attempt(module, () => module.runBackupOfStopped(request), progress);
  if (invocation.json) invocation.terminal.json(done);
  else invocation.terminal.line(`A copy of ${dataDirectory} is in ${done.place}, as of revision ${done.revision}.`);
}

function isRefusing(state: string): boolean {
  return ['superseded', 'unadopted', 'foreign', 'rolled_back', 'damaged'].includes(state);
}

function stateText(state: string): string {
  return `The server makes no backups: ${state}. Its log says why; docs/backup.md says what to do.`;
}

async function ask(calls: RawCalls, method: 'GET' | 'POST', path: string): Promise<BackupStatus> {
  const { status, text } = await calls.send(method, path).catch((error: unknown) => {
    throw new UnreachableError(`Cannot reach the server (${(error as Error).message}).`, { cause: error });
  });
  const body = JSON.parse(text) as BackupStatus & { readonly Message?: string };
  if (status === 200) return body;
  const message = body.Message ?? `the server replied with status ${status}`;
  const code = status === 401 || status === 403 ? exitCodes.noPermission : exitCodes.negative;
  throw new BackupCommandError('refused', code, message);
}

export const showBackups: Run = async (invocation, { args, options }) => {
  const module = await loadModule();
  const list = await attempt(module, () => module.listBackups(storageOf(args[0], options)));
  const { terminal } = invocation;
  if (invocation.json) return terminal.json(list);
  const { place, copies, ranges, gaps, writers, bytes, lastCheck, problems } = list;
  terminal.line(`${place}: ${copies.length} copies, ${Math.ceil(bytes / 1e6)} MB, ${writers} starts of servers`);
  terminal.table(
    ['COPY OF', 'MADE AT', 'ROWS', 'BYTES'],
    copies.map((copy) => [String(copy.revision), copy.at, String(copy.rows), String(copy.bytes)]),
  );
  for (const { from, to } of ranges) terminal.line(`Can be restored: every revision from ${from} to ${to}`);
  for (const { after, to } of gaps) terminal.line(`Gap: revisions ${after + 1} to ${to} never reached the backup`);
  if (lastCheck !== undefined)
    terminal.line(
      `Last check: ${lastCheck.what} at ${lastCheck.at}, ${lastCheck.ok ? 'nothing wrong' : 'with problems'}`,
    );
  for (const problem of problems) terminal.errorLine(problem);
  if (problems.length > 0) invocation.exitCode = exitCodes.damaged;
};

export const verifyBackup: Run = async (invocation, { args, options }) => {
  const module = await loadModule();
  const { sample } = options;
  const progress = new Progress(invocation.terminal, 'Checking', processMs);
  const request = {
    ...storageOf(args[0], options),
    onProgress: showing(progress),
    read: options['read'] === true || typeof sample === 'string',
    drill: options['drill'] === true,
    ...(typeof sample === 'string' && { sample: percentOf(sample) }),
  };
  const found = await attempt(module, () => module.runVerify(request), progress);
  const { terminal } = invocation;
  if (invocation.json) terminal.json(found);
  else {
    for (const problem of found.problems) terminal.errorLine(problem);
    for (const { after, to } of found.gaps)
      terminal.line(`Gap: revisions ${after + 1} to ${to} never reached the backup`);
    if (found.drill?.ok === true)
      terminal.line(`${found.drill.copies.length} copies lead to the same state at revision ${found.drill.revision}.`);
    const what = `${found.objects} objects, ${found.read} of them read`;
    terminal.line(found.ok ? `Nothing is wrong: ${what}.` : `${found.problems.length} problems: ${what}.`);
  }
  if (!found.ok) invocation.exitCode = exitCodes.damaged;
};

export const restoreBackup: Run = async (invocation, { args, options }) => {
  const module = await loadModule();
  const { terminal } = invocation;
  const progress = new Progress(terminal, 'Restoring', processMs);
  const request: RestoreRequest = {
    ...storageOf(args[0], options),
    dataDirectory: String(options['data-dir']),
    adopt: options['adopt'] === true,
    dryRun: options['dry-run'] === true,
    inPlace: options['in-place'] === true,
    graceMs: durationOf(options['lock-grace'] ?? graceDefault),
    ...(typeof options['at'] === 'string' && { at: options['at'] }),
    ...integerOf(options, 'revision'),
    ...integerOf(options, 'jump'),
    ...skipOf(options),
    onNote: (note) => terminal.errorLine(note),
    onProgress: showing(progress),
  };
  const result = await attempt(module, () => module.runRestore(request), progress);
  if (invocation.json) return terminal.json(result.kind === 'restored' ? result.report : result);
  if (result.kind === 'restored') for (const line of result.lines) terminal.line(line);
  else
    terminal.line(
      `Would restore revision ${result.revision}, from ${result.copy} and ${result.objects} objects of the log.`,
    );
};

function durationOf(text: string | true): number {
  return text === '0' ? 0 : parseDuration(String(text), '--lock-grace');
}

function percentOf(text: string): number {
  const percent = Number(text.replace(/%$/, ''));
  if (!(percent > 0 && percent <= 100))
    throw new UsageError(`--sample: expected a percentage, such as 5%, got ${text}`);
  return percent / 100;
}

function skipOf(options: Options): { readonly skipSequences?: number } {
  const { 'skip-sequences': skipSequences } = integerOf(options, 'skip-sequences');
  return skipSequences === undefined ? {} : { skipSequences };
}

function integerOf<Name extends 'revision' | 'jump' | 'skip-sequences'>(
  options: Options,
  name: Name,
): { readonly [K in Name]?: number } {
  const text = options[name];
  if (typeof text !== 'string') return {};
  const value = parseInteger(text, `--${name}`);
  if (value < 1) throw new UsageError(`--${name}: expected at least 1, got ${text}`);
  return { [name]: value } as { readonly [K in Name]?: number };
}

function storageOf(url: string | undefined, options: Options): StorageOptions {
  const text = (name: string): string | undefined => {
    const value = options[name];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    url,
    config: text('config'),
    endpoint: text('endpoint'),
    region: text('region'),
    pathStyle: options['path-style'] === true,
    identity: text('identity'),
  };
}

function showing(progress: Progress): OnProgress {
  return (done, total, bytes) => progress.show(done, total, megabytes(bytes));
}
