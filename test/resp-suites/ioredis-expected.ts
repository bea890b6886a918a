/** Which tests of ioredis 6.0.0 (dfd5428) are run, and which of them are left out, with a reason each. */

const commands =
  'append auth client command config copy dbsize decr decrby del echo eval eval_ro evalsha evalsha_ro exists expire ' +
  'expireat expiretime function get getbit getdel getex getrange getset hello incr incrby incrbyfloat info keys mget ' +
  'mset msetex msetnx object persist pexpire pexpireat pexpiretime ping psubscribe pttl publish pubsub punsubscribe ' +
  'randomkey rename renamenx role scan script select set setbit setex setnx setrange strlen subscribe substr time touch ' +
  'ttl type unlink unsubscribe wait';
const others =
  'auth autopipelining blocking_timeout client_info commandTimeout connection disconnection duplicate exports ' +
  'fatal_error lazy_connect maxRetriesPerRequest pipeline protocol_downgrade pub_sub ready_check reconnect_on_error ' +
  'reply_mapping scan_stream scripting select send_command show_friendly_error_stack socketTimeout string_numbers tls ' +
  'tracing transaction transformer watch-exec';

/** The files of `test/functional` about strings, keys, connections, scripts, transactions and channels. */
export const ioredisFiles: readonly string[] = [
  ...commands.split(' ').map((name) => `commands/${name}.ts`),
  ...others.split(' ').map((name) => `${name}.ts`),
];

/** Most tests of commands are there for each of these. */
const ways = ['RESP2/legacy', 'RESP3/legacy', 'RESP3/resp3'];

function inEachWay(command: string, ...tests: readonly string[]): string[] {
  return ways.flatMap((way) => tests.map((name) => `${command} (${way}) ${name}`));
}

/** Full titles by the reason why they are left out. */
export const ioredisLeftOut: Readonly<Record<string, readonly string[]>> = {
  'users are made in config.yml': inEachWay('auth', 'returns OK with username and password'),
  'commands for those who run a Redis': [
    ...inEachWay(
      'client',
      'KILL terminates another connection by id',
      'UNBLOCK unblocks a blocked client',
      'PAUSE returns OK',
      'UNPAUSE returns OK',
      'TRACKING ON and OFF transition GETREDIR',
      'TRACKING REDIRECT reports the target id via GETREDIR',
      'TRACKINGINFO returns tracking information',
      'CACHING returns OK in OPTIN mode',
    ),
    ...inEachWay('config', 'SET returns OK'),
    'pipeline exec should check and load uniq scripts only',
    'pipeline exec should reload scripts on redis restart (reconnect)',
    'scripting should use evalsha when script is loaded',
    'scripting should try to use EVALSHA and fallback to EVAL if fails',
    'scripting should load scripts first before execution of pipeline',
    'scripting does not fallback to EVAL in regular transaction',
    'scripting does not fallback to EVAL in manual transaction',
  ],
  'functions are unknown': inEachWay(
    'function',
    'LOAD returns the library name',
    'LIST returns an entry per loaded library',
    'DELETE removes a loaded library',
  ),
  // With `reconnectOnError` a client of these sends `DEL foo` for ever, and other tests lose their `foo`.
  'there are strings only': [
    'connection autoResendUnfulfilledCommands should resend unfulfilled commands to the correct db when reconnected',
    'pipeline should support key prefixing',
    'pub/sub RESP3 subscriber mode routes replies that look like pub/sub messages to commands while subscribed',
    'reconnectOnError should reconnect and retry the command if reconnectOnError returns 2',
    'reconnectOnError should select the currect database',
    'reconnectOnError should work with pipeline',
    'reconnectOnError should work with pipelined multi',
    'replyMapping resp3 matches the legacy shape for commands with a reply transformer',
    'replyMapping resp3 keeps __proto__ hash fields as own properties',
    'replyMapping resp3 keeps Buffer values in object replies for Buffer variants',
    'replyMapping resp3 decodes double replies as numbers',
    'replyMapping resp3 keeps numerics as strings with stringNumbers',
    'replyMapping legacy (default) keeps the RESP2 shape for map replies',
    'replyMapping legacy (default) keeps the RESP2 shape for double replies',
    '*scanStream scanStream should recognize `TYPE`',
    '*scanStream sscanStream should iterate all values in the set',
    '*scanStream hscanStream should recognize `NOVALUES`',
    'send command should support key prefixing with multiple keys',
    'send command should support key prefixing for zunionstore',
    'send command should support key prefixing for sort',
    'tracing ioredis:command should not cause unhandled rejections for failed pipeline commands',
    'transaction should handle runtime errors correctly',
    'transaction transformer should trigger transformer',
    'transformer default transformer hmset',
    'transformer default transformer hgetall',
    'transformer default transformer hset',
  ],
  'keys are UTF-8': [
    'send command should support prefixing buffer keys',
    'send command should support buffer as keyPrefix',
  ],
  'integers end at 2^53': ['stringNumbers enabled returns numbers as strings'],
  'its 600 MiB take longer than its 8 s on disk': [
    'autoPipelining for single node should handle large pipelines without RangeError',
  ],
};

/** So many pass at least; the others that are not left out ask for a later Redis, and skip themselves. */
export const ioredisPasses = 590;
