/** Tests of Redis 7.0.15 that are expected to fail here, by file, each with a reason. Whatever else fails is a fault. */

const otherTypes = 'there are strings only';
const settings = 'nothing can be set while the server runs';

export interface SuiteFile {
  /** So many tests pass, at least. */
  readonly passes: number;
  readonly fails: Readonly<Record<string, string>>;
}

function because(reason: string, ...tests: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(tests.map((name) => [name, reason]));
}

export const suiteFiles: Readonly<Record<string, SuiteFile>> = {
  'unit/type/string': {
    passes: 62,
    fails: {
      ...because(
        otherTypes,
        'MGET against non-string key',
        'SETBIT against key with wrong type',
        'SETRANGE against key with wrong type',
        'Extended SET GET with incorrect type should result in wrong type error',
      ),
      ...because(
        'LCS is unknown',
        'LCS basic',
        'LCS len',
        'LCS indexes',
        'LCS indexes with match len',
        'LCS indexes with match len and minimum match len',
      ),
    },
  },
  'unit/type/incr': {
    passes: 20,
    fails: {
      ...because(
        otherTypes,
        'INCR fails against a key holding a list',
        'INCRBYFLOAT fails against a key holding a list',
      ),
      ...because('infinite numbers are refused when they are read', 'INCRBYFLOAT does not allow NaN or Infinity'),
    },
  },
  'unit/expire': {
    passes: 55,
    fails: because(otherTypes, 'EXPIRE - write on expire should work'),
  },
  'unit/keyspace': {
    passes: 33,
    fails: because(
      otherTypes,
      'COPY basic usage for list',
      'COPY basic usage for intset set',
      'COPY basic usage for hashtable set',
      'COPY basic usage for listpack sorted set',
      'COPY basic usage for skiplist sorted set',
      'COPY basic usage for listpack hash',
      'COPY basic usage for hashtable hash',
      'COPY basic usage for stream',
      'COPY basic usage for stream-cgroups',
    ),
  },
  'unit/scan': {
    passes: 5,
    fails: because(
      otherTypes,
      'SSCAN with encoding intset',
      'SSCAN with encoding hashtable',
      'HSCAN with encoding listpack',
      'HSCAN with encoding hashtable',
      'ZSCAN with encoding listpack',
      'ZSCAN with encoding skiplist',
      'SSCAN with integer encoded object (issue 1345)',
      'SSCAN with PATTERN',
      'HSCAN with PATTERN',
      'ZSCAN with PATTERN',
      'ZSCAN scores: regression test for issue 2175',
      'SCAN regression test for issue 4906',
    ),
  },
  'unit/multi': {
    passes: 23,
    fails: {
      ...because(
        otherTypes,
        'MULTI / EXEC basics',
        'DISCARD',
        'MULTI where commands alter argc/argv',
        'EXEC fail on WATCHed key modified by SORT with STORE even if the result is empty',
        'Blocking commands ignores the timeout',
      ),
      ...because(
        settings,
        'MULTI and script timeout',
        'EXEC and script timeout',
        'MULTI-EXEC body and script timeout',
        'just EXEC and script timeout',
      ),
    },
  },
  'unit/protocol': {
    passes: 13,
    fails: {
      ...because('lengths have no sign', 'Negative multibulk length'),
      ...because('a batch has at most 10,000 operations', 'test large number of args'),
      ...because(
        otherTypes,
        'raw protocol response',
        'raw protocol response - deferred',
        'raw protocol response - multiline',
        'Regression for a crash with blocking ops and pipelining',
      ),
    },
  },
  'unit/quit': { passes: 3, fails: {} },
  'unit/pubsub': {
    passes: 15,
    fails: because(
      'they set what is told, and listen to all channels; here it is on for __key… alone (docs/resp.md)',
      'Keyspace notifications: we receive keyspace notifications',
      'Keyspace notifications: we receive keyevent notifications',
      'Keyspace notifications: we can receive both kind of events',
      'Keyspace notifications: we are able to mask events',
      'Keyspace notifications: general events test',
      'Keyspace notifications: list events test',
      'Keyspace notifications: set events test',
      'Keyspace notifications: zset events test',
      'Keyspace notifications: hash events test',
      'Keyspace notifications: stream events test',
      'Keyspace notifications: expired events (triggered expire)',
      'Keyspace notifications: expired events (background expire)',
      'Keyspace notifications: test CONFIG GET/SET of event flags',
      'Keyspace notifications: new key test',
    ),
  },
};
