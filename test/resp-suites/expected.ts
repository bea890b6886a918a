/** Tests of Redis 7.0.15 that are expected to fail here, by file, each with a reason. Whatever else fails is a fault. */

const otherTypes = 'there are strings only';
const settings = 'nothing can be set while the server runs';

export interface SuiteFile {
  /** So many tests pass, at least. */
  readonly passes: number;
  readonly fails: Readonly<Record<string, string>>;
  /** What a copy of the file has instead of what, so that it runs to its end. */
  readonly edit?: readonly [what: string, instead: string];
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
  'unit/scripting': {
    passes: 63,
    // The first round is one of functions, which are unknown here.
    edit: ['foreach is_eval {0 1} {', 'foreach is_eval {1} {'],
    fails: {
      ...because(
        otherTypes,
        'EVAL - Redis multi bulk -> Lua type conversion',
        "EVAL - Scripts can't run blpop command",
        "EVAL - Scripts can't run brpop command",
        "EVAL - Scripts can't run brpoplpush command",
        "EVAL - Scripts can't run blmove command",
        "EVAL - Scripts can't run bzpopmin command",
        "EVAL - Scripts can't run bzpopmax command",
        "EVAL - Scripts can't run XREAD and XREADGROUP with BLOCK option",
        'EVAL - redis.call variant raises a Lua error on Redis cmd error (1)',
        'SORT is normally not alpha re-ordered for the scripting engine',
        'SORT BY <constant> output gets ordered for scripting',
        'SORT BY <constant> with GET gets ordered for scripting',
        'Call Redis command with many args from Lua (issue 1764)',
        'Script with RESP3 map',
        'Script check unpack with massive arguments',
      ),
      ...because(
        'a script uses its KEYS alone',
        'EVAL - Scripts can run non-deterministic commands',
        'Script read key with expiration set',
        'Script del key with expiration set',
      ),
      ...because(
        'there is no cmsgpack, no bit, and no depth to set for cjson',
        'EVAL - JSON smoke test',
        'EVAL - cmsgpack can pack double?',
        'EVAL - cmsgpack can pack negative int64?',
        'EVAL - cmsgpack pack/unpack smoke test',
        'EVAL - cmsgpack can pack and unpack circular references?',
        'EVAL - Verify minimal bitop functionality',
        'Try trick readonly table on cmsgpack table',
        'Try trick readonly table on bit table',
      ),
      ...because('a script may run twice, so its random numbers are the same', 'random numbers are random now'),
      ...because(
        'refused, but in other words',
        'Binary code loading failed',
        'Try trick global protection 1',
        'Try trick global protection 2',
      ),
      ...because(
        'INFO does not count scripts and errors',
        'SCRIPTING FLUSH ASYNC',
        'LUA redis.error_reply API',
        'LUA redis.error_reply API with empty string',
      ),
      ...because('ACL is unknown', 'Script ACL check'),
      ...because(
        settings,
        'Timedout read-only scripts can be killed by SCRIPT KILL',
        'Timedout read-only scripts can be killed by SCRIPT KILL even when use pcall',
        'Timedout script does not cause a false dead client',
        'Timedout script link is still usable after Lua returns',
        'not enough good replicas',
        'reject script do not cause a Lua stack leak',
        'Consistent eval error reporting',
      ),
    },
  },
};
