/** Runs one command line. Every error ends here, as one line on stderr and its exit code. */
import { DragonLockError } from '../client/errors.ts';
import { BackupCommandError, exitCodeOf, exitCodes, NegativeResult, OutputError, UsageError } from './exit-codes.ts';
import { Invocation } from './invocation.ts';
import { takeLaunch } from './launch.ts';
import { parseArguments, requireArguments, type ParsedCommand } from './parse-arguments.ts';
import { keepIgnoring } from './signals.ts';

/** @param argv without node and script @returns the exit code */
export async function run(argv: readonly string[]): Promise<number> {
  const launch = takeLaunch(argv.length);
  const invocation = new Invocation(launch);
  keepIgnoring(launch.ignoredSignals);
  try {
    const parsed = parseArguments(argv, (options) => (invocation.globals = options));
    invocation.globals = parsed.globals;
    if (!(await showHelp(parsed, invocation))) {
      requireArguments(parsed);
      launch.requireText(ownCount(parsed, argv));
      const command = await parsed.path.at(-1)!.load!();
      await command(invocation, parsed);
    }
    await invocation.close();
    return invocation.exitCode;
  } catch (error) {
    return report(error, invocation);
  }
}

/** The arguments that are for us; the others of `lock` are handed on as they are. */
function ownCount({ path, afterDashes }: ParsedCommand, argv: readonly string[]): number {
  return path.at(-1)!.name === 'lock' ? argv.length - (afterDashes?.length ?? 0) : argv.length;
}

/** @returns whether help or the version was asked for, and is printed */
async function showHelp(parsed: ParsedCommand, invocation: Invocation): Promise<boolean> {
  const { path, globals, args } = parsed;
  const { terminal } = invocation;
  const asked = globals['help'] === true || (path.length === 1 && args[0] === 'help');
  if (globals['version'] === true) {
    const { version } = await import('./version.ts');
    terminal.line(version());
    return true;
  }
  if (!asked && path.at(-1)!.load !== undefined) return false;
  const { helpFor } = await import('./help.ts');
  const help = helpFor(path, args.slice(1));
  if (asked) terminal.write(help);
  else {
    // A group of commands by itself does nothing.
    terminal.errorText(help);
    invocation.exitCode = exitCodes.usage;
  }
  return true;
}

function report(error: unknown, { terminal, json }: Invocation): number {
  const print = (code: string, message: string, details: object = {}): void => {
    if (json) terminal.errorJson({ ...details, Code: code, Message: message });
    else terminal.errorLine(message);
  };
  if (error instanceof OutputError) {
    if (error.brokenPipe) return exitCodes.brokenPipe;
    print('output', error.message);
    return exitCodes.outcomeUnknown;
  }
  if (error instanceof UsageError) {
    print('usage', error.message);
    return exitCodes.usage;
  }
  if (error instanceof BackupCommandError) {
    print(error.code, error.message);
    return error.exitCode;
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
