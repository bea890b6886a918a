import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeDoor } from './http-door-under-test.ts';

const long = 'x'.repeat(300);

/** Bodies in which something is given twice, and the place that the message names. */
const repeated: readonly (readonly [url: string, body: string, place: string])[] = [
  ['/db/a', '{"Check":{"Key":"a","Version":9},"Check":{"Key":"a","Version":0},"KVSet":{"Key":"k","Value":1}}', 'Check'],
  ['/db/a', '{"KVSet":{"Key":"a","Value":1},"KVSet":{"Key":"b","Value":1}}', 'KVSet'],
  ['/db/a', '{"KVSet":[{"Key":"a","Value":1},{"Key":"b","Key":"c","Value":1}]}', 'KVSet[1].Key'],
  ['/db/a', '{"KVSet":{"Key":"a","Value":1,"Value":2}}', 'KVSet.Value'],
  ['/db/a', '{"KVSet":{"Key":"a","Value":{"x":[{}]},"Value":{"x":2}}}', 'KVSet.Value'],
  ['/db/a', '{"KVSet":{"Key":"a","Value":1},"\\u004bVSet":{"Key":"b","Value":1}}', 'KVSet'],
  ['/db/a', '{"KVSet":{"Key":"a","V\\u0061lue":{"a":1,"a":2},"Value":1}}', 'KVSet.Value'],
  ['/db/a', '{"Check" :{"Key":"a","Version":9},"Check":{"Key":"a","Version":0}}', 'Check'],
  ['/db/a', '{"KVGet":"a\\":","Check"\n:{"Key":"a","Version":9},"Check"\t:{"Key":"a","Version":0}}', 'Check'],
  ['/db/a', '{"LockID":"a:b","LockDur" :1,"LockDur":2}', 'LockDur'],
  ['/db/a', '{"LockID":"l","LockDur":1,"LockDur":2,"LockMeta":{"a":1}}', 'LockDur'],
  ['/db/a', '{"LockID":"l","LockDur":1,"LockMeta":{"a":1,"a":2},"LockMeta":3}', 'LockMeta'],
  ['/db/a', '{"__proto__":1,"__proto__":2,"KVGet":"a"}', '__proto__'],
  ['/db/a', '{"KVGet":"user:1","KVGet":"user:2"}', 'KVGet'],
  ['/db/a', `{"KVGet":"${long}\\\\","KVGet":"${long}\\":"}`, 'KVGet'],
  ['/db/a', '[{"KVGet":"a"},{"KVGet":"b","Guard":{"LockID":"l","Lock":1,"Lock":2}}]', '[1].Guard.Lock'],
  [
    '/db/a',
    `{"KVSet":{"Key":"a","Value":1},"KVSet":{${Array.from({ length: 99 }, (_, i) => `"m${i}":1`).join()}}}`,
    'KVSet',
  ],
  ['/watch/a', '{"ID":"a","ID":"b"}', 'ID'],
  ['/watch/a', '{"IDs":[{"ID":"a","Version":1,"Version":2}]}', 'IDs[0].Version'],
  ['/watch/a', '{"Prefix":"a","After":1,"After":2}', 'After'],
];

for (const [url, body, place] of repeated) {
  test(`repeated: ${body.slice(0, 70)} is 400 and names ${place}`, async (t) => {
    const door = makeDoor(t);
    const response = await door.send('POST', url, body);
    const { Code, Message }: { Code: string; Message: string } = response.json();
    assert.deepEqual([response.statusCode, Code], [400, 'invalid']);
    assert.equal(Message, `${place}: given more than once; expected it once`);
    assert.deepEqual(door.dispatcher.asked, []);
  });
}

const kept: readonly (readonly [body: string, value: string])[] = [
  ['{"KVSet":{"Key":"a","Value":{"a":1,"a":2}}}', '{"a":2}'],
  [
    '{"KVSet":{"Key":"a:b","Value":{"Key":1,"KVSet":"x\\":","Key":[2,{"Key":3}]}}}',
    '{"Key":[2,{"Key":3}],"KVSet":"x\\":"}',
  ],
  ['{"KVSet":[{"Value":-1.5e3 ,"Key":"a"}]}', '-1500'],
  ['{"KVSet":[{"Value":null,"Key":"a\\\\"},{"Key":"a\\"","Value":"Key:\\":"}]}', 'null'],
];

for (const [body, value] of kept) {
  test(`not repeated: ${body} is taken; a value is what JSON.parse makes of it`, async (t) => {
    const door = makeDoor(t);
    const response = await door.send('POST', '/db/a', body);
    assert.equal(response.statusCode, 200, response.body);
    const command = door.dispatcher.commands.at(-1);
    assert.equal(command?.kind === 'batch' && command.set?.[0]?.value, value);
  });
}

test('query parameters are given once, however they are spelled', async (t) => {
  const door = makeDoor(t);
  for (const query of ['ttl=1&ttl=2', 'ttl=1&%74tl=2', 'ver=1&ttl=3&ver=1', 'as=text&as=text']) {
    const response = await door.send('POST', `/db/a/kv/k?${query}`, '1');
    assert.equal(response.statusCode, 400);
    assert.match(response.body, /given more than once/);
  }
  assert.deepEqual(door.dispatcher.asked, []);
});
