/**
 * Starts the command of `dragonlock lock` with exactly what came: arguments and environment byte for byte, ignored
 * signals, the limit of open files. Node can do none of this for a child, because it takes strings and resets signals.
 * So Node starts a small program, which reads what to become from a pipe and becomes it.
 *
 *     Node ──spawn──► Perl, waiting ──everything arrived──► execve ──► the command, with the same process id
 *                           └──the pipe ends early: we were killed──► exit
 *
 * The pipe also holds the start back until the watchdog knows the process. Perl is part of every Debian, and alone can
 * call execve with any bytes. Where there is no Perl, /bin/sh does the same, and refuses what a shell cannot hand on.
 *
 * The pipe is at a high descriptor, because lower ones may have been opened for the command.
 * Descriptors beyond that one are not handed on.
 */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import type { Writable } from 'node:stream';
import { exitCodes, UsageError } from './exit-codes.ts';
import { fileExists, openDescriptors } from './files.ts';
import { currentOpenFiles, isText, type Launch } from './launch.ts';

/** Numbers of the system calls execve and prlimit64, where Perl is used. */
const systemCalls: Readonly<Record<string, readonly [number, number] | undefined>> = {
  x64: [59, 302],
  arm64: [221, 261],
};

/**
 * Its fields end in NUL: how many follow, execve, prlimit64, soft and hard limit (or empty), ignored signals, number of
 * arguments, arguments, variables. The search in PATH is that of execvp(3).
 */
const perlProgram = `
open my $in, '<&=', shift or exit ${exitCodes.cannotExecute};
my @f = split /\\0/, do { local $/; <$in> }, -1;
close $in;
pop @f;
@f and shift(@f) == @f or exit ${exitCodes.cannotExecute};
my ($execve, $prlimit, $soft, $hard, $ignored, $count) = splice @f, 0, 6;
my @argv = splice @f, 0, $count;
syscall $prlimit + 0, 0, 7, pack('Q2', $soft, $hard), 0 if length $soft;
# Perl itself ignores this one.
$SIG{FPE} = 'DEFAULT';
$SIG{$_} = 'IGNORE' for split / /, $ignored;
my ($command) = @argv;
my ($path) = map { /^PATH=(.*)/s ? $1 : () } @f;
$path = '/bin:/usr/bin' unless defined $path;
my @places = $command =~ m{/} ? ('') : map { length ? "$_/" : './' } split /:/, $path, -1;
my $env = pack 'p*', @f, undef;
my $failure = 2;
for my $place (length $command ? @places : ()) {
  my $file = $place . $command;
  syscall $execve + 0, $file, pack('p*', @argv, undef), $env;
  my $error = $! + 0;
  if ($error == 8) {
    my ($sh, @script) = ('/bin/sh', 'sh', $file, @argv[1 .. $#argv]);
    syscall $execve + 0, $sh, pack('p*', @script, undef), $env;
  }
  $failure = $error unless $error == 2 || $error == 20;
  last unless grep { $error == $_ } 2, 13, 19, 20, 110, 116;
}
$! = $failure;
print STDERR "dragonlock: $command: ", ($failure == 2 ? 'not found' : "cannot run: $!"), "\\n";
exit($failure == 2 ? ${exitCodes.commandNotFound} : ${exitCodes.cannotExecute});
`;

/** The first line has the soft limit and the ignored signals. */
const shellProgram = (descriptor: number): string =>
  `read -r soft ignored <&${descriptor} && { [ "$soft" = - ] || ulimit -S -n "$soft"; } &&
  { [ -z "$ignored" ] || trap '' $ignored; } && exec "$@" ${descriptor}<&-`;

const perl = '/usr/bin/perl';

export interface Start {
  readonly process: ChildProcess;
  /** Lets the process become the command. */
  readonly go: () => void;
}

export class CommandStart {
  readonly #launch: Launch;
  readonly #argv: readonly Buffer[];
  readonly #environment: readonly Buffer[];
  readonly #calls: readonly [number, number] | undefined;

  /** @throws UsageError if the command cannot be given exactly what came */
  constructor(launch: Launch, count: number, withPerl = fileExists(perl)) {
    this.#launch = launch;
    this.#argv = launch.args.slice(-count);
    this.#environment = launch.environment;
    this.#calls = withPerl && process.platform === 'linux' ? systemCalls[process.arch] : undefined;
    if (this.#calls === undefined) this.#requirePlain();
  }

  /** @param variables replace those of the same name */
  start(variables: Readonly<Record<string, string>>): Start {
    const names = Object.keys(variables);
    const environment = [
      ...this.#environment.filter((entry) => !names.some((name) => entry.toString('latin1').startsWith(`${name}=`))),
      ...Object.entries(variables).map(([name, value]) => Buffer.from(`${name}=${value}`)),
    ];
    return this.#calls === undefined ? this.#byShell(environment) : this.#byPerl(environment, this.#calls);
  }

  #byPerl(environment: readonly Buffer[], calls: readonly [number, number]): Start {
    const { openFiles, ignoredSignals } = this.#launch;
    const ignored = ignoredSignals.map((name) => name.slice(3)).join(' ');
    const fields = [
      ...[...calls, openFiles?.soft ?? '', openFiles?.hard ?? '', ignored, this.#argv.length].map((field) =>
        Buffer.from(String(field)),
      ),
      ...this.#argv,
      ...environment,
    ];
    const nul = Buffer.alloc(1);
    const text = [Buffer.from(String(fields.length)), ...fields].flatMap((field) => [field, nul]);
    const descriptor = freeDescriptor(200);
    return waiting(
      spawn(perl, ['-e', perlProgram, String(descriptor)], { ...this.#options(descriptor), env: {} }),
      text,
    );
  }

  #byShell(environment: readonly Buffer[]): Start {
    const { openFiles, ignoredSignals } = this.#launch;
    // A shell knows descriptors of one digit.
    const descriptor = freeDescriptor(9);
    const env = Object.fromEntries(environment.map((entry) => parts(entry.toString('utf8'))));
    const argv = this.#argv.map((argument) => argument.toString('utf8'));
    const ignored = ignoredSignals.map((name) => name.slice(3)).join(' ');
    const child = spawn('/bin/sh', ['-c', shellProgram(descriptor), 'sh', ...argv], {
      ...this.#options(descriptor),
      env,
    });
    return waiting(child, [Buffer.from(`${openFiles?.soft ?? '-'} ${ignored}\n`)]);
  }

  #options(pipe: number): { stdio: StdioOptions; detached: true } {
    const { descriptors } = this.#launch;
    const others = Array.from({ length: pipe - 3 }, (_, i) => (descriptors.includes(i + 3) ? i + 3 : 'ignore'));
    return { stdio: ['inherit', 'inherit', 'inherit', ...others, 'pipe'], detached: true };
  }

  #requirePlain(): void {
    const seen = new Set<string>();
    for (const entry of this.#environment) {
      const [name] = parts(entry.toString('utf8'));
      if (isText(entry) && /^[a-z_]\w*$/i.test(name) && entry.includes('=') && !seen.has(name)) seen.add(name);
      else
        throw new UsageError(
          `environment: ${perl} is needed to hand on ${JSON.stringify(name)} (unset it, or install Perl)`,
        );
    }
    const argument = this.#argv.find((bytes) => !isText(bytes));
    if (argument !== undefined) {
      throw new UsageError(
        `command: expected UTF-8 where there is no ${perl}, got ${JSON.stringify(String(argument))}`,
      );
    }
  }
}

function waiting(child: ChildProcess, text: readonly Buffer[]): Start {
  const pipe = child.stdio.at(-1) as Writable | undefined;
  // The process may be gone already; its exit says so.
  pipe?.on('error', () => undefined);
  return { process: child, go: () => void pipe?.end(Buffer.concat(text)) };
}

function parts(entry: string): [string, string] {
  const at = entry.indexOf('=');
  return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
}

/** The highest free descriptor up to `most`. Node's own are low, and close by themselves in a child. */
function freeDescriptor(most: number): number {
  const open = openDescriptors() ?? new Set<number>();
  const limit = currentOpenFiles()?.soft ?? most;
  for (let descriptor = Math.min(most, limit - 1); descriptor > 3; descriptor -= 1) {
    if (!open.has(descriptor)) return descriptor;
  }
  return 3;
}
