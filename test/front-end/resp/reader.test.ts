/** Bytes become commands: the same in any pieces, and never anything but commands or a protocol error. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CommandReader, ProtocolError, wordsIn, type RespCommand } from '../../../src/front-end/resp/reader.ts';
import { commandBytes } from '../../support/resp-client.ts';

const limits = { argumentBytesMax: 4096, argumentsMax: 20, commandBytesMax: 16 * 1024 };

/** All that is read of some pieces: the commands, and the message of what ended them. */
function read(pieces: readonly Buffer[], given = limits): { commands: RespCommand[]; error: string | undefined } {
  const reader = new CommandReader(given);
  const commands: RespCommand[] = [];
  try {
    for (const piece of pieces) {
      reader.push(piece);
      for (let command = reader.next(); command !== undefined; command = reader.next()) commands.push(command);
    }
  } catch (error) {
    assert(error instanceof ProtocolError, String(error));
    return { commands, error: error.message };
  }
  return { commands, error: undefined };
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].toSorted((a, b) => a - b);
  const ends = [0, ...at, bytes.length];
  // Each piece is a copy, as Node hands out memory of its own.
  return ends.slice(1).map((end, i) => Buffer.from(bytes.subarray(ends[i], end)));
}

function bytewise(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (byte) => Buffer.from([byte]));
}

const argument = fc.uint8Array({ maxLength: 60, size: 'max' }).map((bytes) => Buffer.from(bytes));
const command = fc.array(argument, { minLength: 1, maxLength: 6 });
const places = fc.array(fc.nat(5000), { maxLength: 12 });

test('commands come out as they were put in, whatever the pieces', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 8 }), places, (sent, at) => {
      const bytes = Buffer.concat(sent.map((args) => commandBytes(args)));
      const expected = sent.map((args) => args.map((arg) => arg.toString('latin1')));
      if (expected.some(([name = '']) => /^(post|host:)$/i.test(name))) return;
      for (const pieces of [[bytes], cut(bytes, at), bytewise(bytes)])
        assert.deepEqual(read(pieces), { commands: expected, error: undefined });
    }),
    { numRuns: 300 },
  );
});

/** What is nearly a command. */
const token = fc.oneof(
  fc.constantFrom(
    '*1\r\n',
    '*2\r\n',
    '$3\r\n',
    '$0\r\n',
    'abc\r\n',
    '\r\n',
    '\n',
    '*-1\r\n',
    '*01\r\n',
    '$+1\r\n',
    ' "a b" ',
  ),
  fc.constantFrom(
    'PING\r\n',
    'GET a\n',
    '*99999999999\r\n',
    '$5000\r\n',
    "'x\r\n",
    '*3\r',
    '$',
    '*',
    'POST / HTTP/1.1\r\n',
  ),
  fc.string({ maxLength: 5 }),
);

test('any input gives the same commands and the same error in any pieces', () => {
  fc.assert(
    fc.property(fc.array(token, { maxLength: 12 }), places, (tokens, at) => {
      const bytes = Buffer.from(tokens.join(''), 'latin1');
      const whole = read([bytes]);
      assert.deepEqual(read(cut(bytes, at)), whole);
      assert.deepEqual(read(bytewise(bytes)), whole);
    }),
    { numRuns: 2000 },
  );
});

test('what is no RESP is refused with the words of Redis', () => {
  const errors = {
    '*x\r\n': /^invalid multibulk length$/,
    '*-1\r\n': /^invalid multibulk length$/,
    '*+1\r\n': /^invalid multibulk length$/,
    '*01\r\n': /^invalid multibulk length$/,
    '*1\n': /^invalid multibulk length$/,
    '*21\r\n': /^invalid multibulk length$/,
    '*99999999999999999999\r\n': /^invalid multibulk length$/,
    '*1\r\nx\r\n': /^expected '\$', got 'x'$/,
    '*1\r\n\0': /^expected '\$', got '\\x00'$/,
    '*1\r\n$-1\r\n': /^invalid bulk length$/,
    '*1\r\n$4097\r\n': /^invalid bulk length$/,
    '*1\r\n$2000000000\r\n': /^invalid bulk length$/,
    '*1\r\n$1\r\nabc': /^expected CRLF/,
    'set a "b\r\n': /^unbalanced quotes in request$/,
    "set a 'b'c\r\n": /^unbalanced quotes in request$/,
    'POST / HTTP/1.1\r\n': /HTTP/,
    '*1\r\n$5\r\nhOsT:\r\n': /HTTP/,
    'Host: localhost\r\n': /HTTP/,
  };
  for (const [bytes, message] of Object.entries(errors)) {
    const { commands, error } = read([Buffer.from(bytes, 'latin1')]);
    assert.deepEqual(commands, [], bytes);
    assert.match(error ?? 'nothing', message, JSON.stringify(bytes));
  }
  const long = read([Buffer.alloc(65 * 1024, 'a')]);
  assert.equal(long.error, 'too big inline request');
  const many = read([Buffer.from(`*20\r\n${'$4000\r\n'.concat('a'.repeat(4000), '\r\n').repeat(5)}`)]);
  assert.equal(many.error, 'too big command');
});

test('an empty command is none', () => {
  assert.deepEqual(read([Buffer.from('\r\n*0\r\n\n  \r\nPING\r\n')]).commands, [['PING']]);
});

test('words of an inline command are split as by a shell', () => {
  assert.deepEqual(wordsIn(`set  k "a\\n\\x41\\"b" 'it''`.slice(0, -1)), ['set', 'k', 'a\nA"b', 'it']);
  assert.deepEqual(wordsIn(`echo 'it\\'s' ""`), ['echo', "it's", '']);
  assert.deepEqual(wordsIn('   '), []);
});

test('bytes that come one by one are kept in memory that is not much larger', () => {
  const reader = new CommandReader({ ...limits, argumentBytesMax: 1 << 20, commandBytesMax: 1 << 20 });
  const bytes = commandBytes(['SET', 'k', 'v'.repeat(20_000)]);
  for (const byte of bytewise(bytes.subarray(0, -1))) {
    reader.push(byte);
    assert.equal(reader.next(), undefined);
    assert.ok(reader.keptBytes < 2 * bytes.length + 1024);
  }
  reader.push(bytes.subarray(-1));
  assert.equal(reader.next()?.[2]?.length, 20_000);
  assert.equal(reader.keptBytes, 0);
});
