/**
 * Runs the examples of a document against a real server.
 *
 * A code block marked `sh` is run; all of one document run in one shell, in order, so that a variable set in one is
 * there in the next. A block marked `json` or `text` directly behind it is what it must print; `json 409` also says with
 * which HTTP status, otherwise it is 200. Blocks with any other mark are not run.
 *
 * What differs from run to run is not compared: of the members in `varying` only whether they are zero, of messages
 * everything but their digits.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fences, type Fence } from './markdown.ts';
import { root } from './server-child.ts';

export interface Example {
  /** `docs/http.md:12` */
  readonly place: string;
  readonly command: string;
  readonly reply: Fence | undefined;
}

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  /** HTTP status of the last call. */
  readonly status: number | undefined;
}

/** The address that the documents use. */
const documented = 'localhost:8081';

export function examplesIn(file: string, markdown: string): Example[] {
  const blocks = fences(markdown);
  return blocks.flatMap((block, index) => {
    if (block.info !== 'sh') return [];
    const next = blocks[index + 1];
    const reply = next !== undefined && /^(json( \d{3})?|text)$/.test(next.info) ? next : undefined;
    return [{ place: `${file}:${block.line}`, command: block.text, reply }];
  });
}

/** @param directory an empty one, which becomes the examples' working directory */
export function runExamples(examples: readonly Example[], url: string, directory: string): Outcome[] {
  const home = path.join(directory, 'home');
  const out = path.join(directory, 'out');
  const work = path.join(directory, 'work');
  const bin = path.join(directory, 'bin');
  for (const made of [home, out, work, bin]) fs.mkdirSync(made);
  fs.symlinkSync(path.join(root, 'src/cli/dragonlock'), path.join(bin, 'dragonlock'));
  // Each call tells its status beside what it prints, without a word about it in the examples.
  fs.writeFileSync(path.join(home, '.curlrc'), 'write-out = "%{stderr}%{http_code}\\n"\n');
  const address = new URL(url).host;
  const blocks = examples.map(
    ({ command }, index) =>
      `{\n${command.replaceAll(documented, address)}\n} >'${out}/${index}.out' 2>'${out}/${index}.err'\n`,
  );
  const { status, stderr } = spawnSync('bash', ['-u'], {
    cwd: work,
    env: { ...process.env, PATH: `${bin}:${process.env['PATH']}`, HOME: home, CURL_HOME: home },
    input: `${blocks.join('')}wait\nexit 0\n`,
    encoding: 'utf8',
    timeout: 120_000,
  });
  assert.equal(status, 0, `the examples ran to their end: ${stderr}`);
  return examples.map((_, index) => {
    const told = fs.readFileSync(path.join(out, `${index}.err`), 'utf8');
    const statuses = told.match(/^\d{3}$/gm);
    return {
      stdout: fs.readFileSync(path.join(out, `${index}.out`), 'utf8'),
      stderr: told.replaceAll(/^\d{3}\n/gm, ''),
      status: statuses === null ? undefined : Number(statuses.at(-1)),
    };
  });
}

/** @throws AssertionError that names the place */
export function compareExample({ place, reply }: Example, { stdout, stderr, status }: Outcome): void {
  if (reply === undefined) return;
  if (reply.info === 'text') {
    return assert.equal(maskText(stdout.trimEnd()), maskText(reply.text.trimEnd()), `${place}: ${stderr}`);
  }
  // What does not call curl has none.
  const withoutCall = status === undefined && !reply.info.includes(' ');
  const code = Number(reply.info.split(' ')[1] ?? 200);
  if (!withoutCall) assert.equal(status, code, `${place}: its status. ${stdout}${stderr}`);
  const actual = mask(parse(stdout, `${place}: the reply is JSON`));
  const wanted = mask(parse(reply.text, `${place}: the documented reply is JSON`));
  assert.deepEqual(actual, wanted, place);
  // The order of the members too: it is what a reader sees.
  assert.equal(JSON.stringify(actual), JSON.stringify(wanted), place);
}

const varying = new Set(
  (
    'Rev Version Lock Till TillMs TTLMs Now Since EndedMs Oldest RequestID Boot Node At ID ' +
    'ResetMs RetryAfterMs WaitMs Next NextMs LastStartMs LastEndMs Secret'
  ).split(' '),
);

function mask(value: unknown, name = ''): unknown {
  if (varying.has(name) && (typeof value === 'number' || typeof value === 'string'))
    return value === 0 ? 0 : `<${name}>`;
  if (name === 'Message' && typeof value === 'string') return value.replaceAll(/\d+/g, '#');
  if (Array.isArray(value)) return value.map((item) => mask(item));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, mask(member, key)]));
}

function maskText(text: string): string {
  return text
    .replaceAll(/^(id: |[\d:.TZ-]*)\d+/gm, '$1#')
    .replaceAll(/"(Rev|Version)":[1-9]\d*/g, '"$1":#')
    .replaceAll(/(fence |pid |held for )[\d.]+/g, '$1#');
}

function parse(text: string, what: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    return assert.fail(`${what}: ${String(error)}\n${text}`);
  }
}
