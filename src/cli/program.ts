/**
 * The command line as a tree. Global options may stand anywhere before `--`. Every error ends here, as one line on
 * stderr and its exit code.
 */
import { findPackageJSON } from 'node:module';
import { Command, CommanderError } from 'commander';
import { DragonLockError } from '../client/errors.ts';
import { addBatch } from './batch.ts';
import { addCompletion } from './completion.ts';
import { addConfig } from './config.ts';
import { addCounter } from './counter.ts';
import { exitCodeOf, exitCodes, NegativeResult, UsageError } from './exit-codes.ts';
import { readInput } from './files.ts';
import { Invocation } from './invocation.ts';
import { addKv } from './kv.ts';
import { addLock } from './lock.ts';
import { addLocks } from './locks.ts';
import { addSequence } from './sequence.ts';
import { addServe } from './serve.ts';
import { addStatus } from './status.ts';

/** @param argv without node and script @returns the exit code */
export async function run(argv: readonly string[]): Promise<number> {
  const program = new Command('dragonlock');
  const invocation = new Invocation(program);
  build(program, invocation, argv);
  try {
    await program.parseAsync(argv, { from: 'user' });
    await invocation.close();
    return invocation.exitCode;
  } catch (error) {
    return report(error, invocation);
  }
}

export function build(program: Command, invocation: Invocation, argv: readonly string[]): void {
  program
    .description('Locks, keys, counters, sequences and batches of a Dragon Lock server.')
    .option('--url <url>', 'address of the server (DRAGONLOCK_URL; default http://127.0.0.1:8081)')
    .option('--account <name>', 'account that owns the locks and keys (DRAGONLOCK_ACCOUNT)')
    .option('--token <token>', 'visible in the list of processes: prefer DRAGONLOCK_TOKEN or --token-file')
    .option('--token-file <file>', 'read the token from this file (DRAGONLOCK_TOKEN_FILE)')
    .option('--timeout <duration>', 'for one call, with its retries (default 15s)')
    .option('--json', 'print JSON, one document a line, with the names of the HTTP API')
    .option('--no-color', 'no colors (also: NO_COLOR)')
    .version(version())
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
    .hook('preAction', () => {
      if (!invocation.global.color) invocation.terminal.color = false;
    });
  addLock(program, invocation, argv);
  addLocks(program, invocation);
  addKv(program, invocation);
  addCounter(program, invocation);
  addSequence(program, invocation);
  addBatch(program, invocation);
  addStatus(program, invocation);
  addServe(program);
  addConfig(program, invocation);
  addCompletion(program, invocation);
}

function report(error: unknown, { terminal, json }: Invocation): number {
  const print = (code: string, message: string, details: object = {}): void => {
    if (json) terminal.errorJson({ ...details, Code: code, Message: message });
    else terminal.errorLine(message);
  };
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return exitCodes.done;
    // Commander has already printed the help to stderr.
    if (error.code !== 'commander.help') print('usage', error.message.replace(/^error: /, '').replaceAll('\n', ' '));
    return exitCodes.usage;
  }
  if (error instanceof UsageError) {
    print('usage', error.message);
    return exitCodes.usage;
  }
  if (error instanceof NegativeResult) {
    print('refused', error.message);
    return exitCodes.negative;
  }
  if (error instanceof DragonLockError) {
    print(error.code, error.message, error.details);
    return exitCodeOf(error);
  }
  print('internal', error instanceof Error ? (error.stack ?? error.message) : String(error));
  return exitCodes.internal;
}

/** The version of the package that contains this file: the checkout, or the installed npm package. */
function version(): string {
  const file = findPackageJSON(import.meta.url);
  return file === undefined ? 'unknown' : (JSON.parse(readInput(file)) as { version: string }).version;
}
