/**
 * Runs one step as a child process. Its output goes to a file, and its other files lie beside that (TMPDIR is its own).
 * A step that takes much longer than it should counts as hanging.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Run } from './steps.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const stepMsMax = 20 * 60_000;
const saidMax = 2_000_000;

export interface Outcome {
  readonly code: number | null;
  /** The end of it, if it was very much; all of it is in `output.txt`. */
  readonly said: string;
  readonly hung: boolean;
  readonly seconds: number;
}

let running: ChildProcess | undefined;

/** @param directory of the step alone: for what it says, and for what it keeps */
export async function runStep(run: Run, directory: string, onProgress: (line: string) => void): Promise<Outcome> {
  fs.mkdirSync(directory, { recursive: true });
  const output = fs.openSync(path.join(directory, 'output.txt'), 'w');
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const began = performance.now();
  const child = spawn(process.execPath, run.argv, {
    cwd: root,
    env: { ...env, ...run.env, TMPDIR: directory },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  running = child;
  let said = '';
  const hear = (piece: string): void => {
    fs.writeSync(output, piece);
    said = (said + piece).slice(-saidMax);
  };
  child.stdout.setEncoding('utf8').on('data', hear);
  child.stderr.setEncoding('utf8').on('data', hear);
  let hung = false;
  const limit = setTimeout(() => {
    hung = true;
    endRunning();
  }, stepMsMax);
  const progress = setInterval(() => onProgress(lastLine(said)), 1000);
  const code = await new Promise<number | null>((resolve) => {
    child.on('error', (error) => {
      hear(String(error));
      resolve(null);
    });
    child.on('close', resolve);
  });
  clearTimeout(limit);
  clearInterval(progress);
  running = undefined;
  fs.closeSync(output);
  return { code, said, hung, seconds: (performance.now() - began) / 1000 };
}

/** As one would type it. */
export function commandOf({ env = {}, argv }: Run): string {
  const quoted = [...Object.entries(env).map(([name, value]) => `${name}=${value}`), 'node', ...argv];
  return quoted.map((word) => (/^[\w./:=,-]+$/.test(word) ? word : JSON.stringify(word))).join(' ');
}

/** The process and those that it started, each by its id: servers under test stand in groups of their own. */
export function endRunning(): void {
  const pid = running?.pid;
  if (pid === undefined) return;
  for (const one of [...descendants(pid), pid]) {
    try {
      process.kill(one, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
}

/** From /proc; elsewhere none are known. */
function descendants(pid: number): number[] {
  if (!fs.existsSync('/proc/self/stat')) return [];
  const parents = new Map<number, number>();
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = fs.readFileSync(`/proc/${name}/stat`, 'utf8');
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It has ended while we looked.
    }
  }
  const found = [pid];
  for (const one of found) for (const [child, parent] of parents) if (parent === one) found.push(child);
  return found.slice(1).toReversed();
}

function lastLine(text: string): string {
  return text
    .trimEnd()
    .slice(-400)
    .split(/[\r\n]/)
    .at(-1)!
    .slice(0, 80);
}
