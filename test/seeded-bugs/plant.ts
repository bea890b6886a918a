/** Plants one seeded bug into a copy of the tree, runs the test that must catch it there, and takes the copy away. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SeededBug } from './bugs.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const patienceMs = 180_000;

export interface Verdict {
  readonly caught: boolean;
  /** The names of the tests that failed, and the end of what was said when the bug was not caught. */
  readonly failed: readonly string[];
  readonly said: string;
}

/** The file's text with the bug in it. @throws when the code has moved */
export function textWith(bug: SeededBug): string {
  const text = fs.readFileSync(path.join(root, bug.file), 'utf8');
  const places = text.split(bug.find).length - 1;
  if (places !== 1) {
    throw new Error(`seeded bug "${bug.name}": expected its text once in ${bug.file}, got ${places} times`);
  }
  return text.replace(bug.find, () => bug.replace);
}

export async function plant(bug: SeededBug): Promise<Verdict> {
  const text = textWith(bug);
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-bug-'));
  try {
    for (const name of ['build', 'src', 'test', 'package.json', 'tsconfig.json', 'config.yml']) {
      fs.cpSync(path.join(root, name), path.join(copy, name), { recursive: true });
    }
    fs.symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
    fs.writeFileSync(path.join(copy, bug.file), text);
    return await runTest(bug, copy);
  } finally {
    fs.rmSync(copy, { recursive: true, force: true });
  }
}

function runTest({ caughtBy }: SeededBug, cwd: string): Promise<Verdict> {
  const pattern = caughtBy.test.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`);
  const options = ['--test', '--test-reporter=tap', '--test-timeout=120000', `--test-name-pattern=${pattern}`];
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(process.execPath, [...options, caughtBy.file], { cwd, env, detached: true });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (said += piece));
  child.stderr.setEncoding('utf8').on('data', (piece: string) => (said += piece));
  // A bug may well hang its test: the group goes, servers and all.
  const timer = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), patienceMs);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      const failed = Array.from(said.matchAll(/^ *not ok \d+ - (.*)$/gm), ([, name]) => name!.replaceAll('\\', ''));
      // A file that does not even load fails too, under its own name: that is no catch.
      const caught = code !== 0 && failed.some((name) => name.includes(caughtBy.test));
      resolve({ caught, failed, said: said.slice(-3000) });
    });
  });
}
