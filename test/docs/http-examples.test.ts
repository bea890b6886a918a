import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { compareExample, examplesIn, runExamples, type Example, type Outcome } from './examples.ts';
import { readDoc } from './markdown.ts';
import type { OpenApiDocument } from '../../src/front-end/http/openapi/document.ts';
import { OpenApiChecker } from '../support/openapi-checker.ts';
import { RecordingProxy } from '../support/recording-proxy.ts';
import { startServer, temporaryDirectory } from './server-child.ts';

const without = ['bash', 'curl'].filter((tool) => spawnSync(tool, ['--version']).status !== 0);
const skip = without.length === 0 ? false : `${without.join(' and ')} not installed`;

for (const [file, atLeast] of [
  ['README.md', 12],
  ['docs/quick-start.md', 3],
  ['docs/http.md', 40],
  ['docs/queues.md', 3],
  ['docs/tasks.md', 1],
  ['docs/openapi.md', 1],
  ['docs/cli.md', 11],
] as const) {
  test(`${file}: every example does what it says, as the OpenAPI document says it`, { skip }, async (t) => {
    const directory = temporaryDirectory(t);
    const { url } = await startServer(t, path.join(directory, 'data'));
    const examples = examplesIn(file, readDoc(file));
    const compared = examples.filter(({ reply }) => reply !== undefined).length;
    assert.ok(compared >= atLeast, `${compared} examples have replies`);
    const proxy = await RecordingProxy.open(t, url);
    const outcomes = runExamples(examples, proxy.url, directory);
    for (const [index, example] of examples.entries()) {
      compareExample(example, outcomes[index] ?? assert.fail('every example has an outcome'));
    }
    const checker = new OpenApiChecker((await (await fetch(`${url}/openapi.json`)).json()) as OpenApiDocument);
    const messages = await proxy.messages();
    for (const message of messages) checker.check(message);
    assert.ok(messages.length >= atLeast, `${messages.length} requests`);
  });
}

test('the comparison tells apart what differs: another value, status, member or order', () => {
  const reply = '{"Key":"a","Version":7,"Value":1}';
  compareExample(example('json', reply), outcome('{"Key":"a","Version":8,"Value":1}'));
  compareExample(example('json 409', reply), outcome(reply, 409));
  for (const [info, stdout, status] of [
    ['json', '{"Key":"a","Version":8,"Value":2}', 200],
    ['json', '{"Key":"a","Version":0,"Value":1}', 200],
    ['json', '{"Key":"a","Value":1,"Version":7}', 200],
    ['json', '{"Key":"a","Version":7,"Value":1,"More":true}', 200],
    ['json', reply, 409],
    ['json 409', reply, 200],
  ] as const) {
    assert.throws(() => compareExample(example(info, reply), outcome(stdout, status)), assert.AssertionError, stdout);
  }
});

function example(info: string, text: string): Example {
  return { place: 'x', command: '', reply: { info, text, line: 1 } };
}

function outcome(stdout: string, status = 200): Outcome {
  return { stdout, stderr: '', status };
}
