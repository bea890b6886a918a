/** `dragonlock queue`, as a part of the table of commands. */
import type { ArgumentSpec, CommandSpec } from './command-spec.ts';

const loadQueue = async (): Promise<typeof import('./queue.ts')> => import('./queue.ts');
const queueName: ArgumentSpec = { name: 'name', about: 'name of the queue' };
const messageId: ArgumentSpec = { name: 'id', about: 'ID of the message' };

export const queueCommands: CommandSpec = {
  name: 'queue',
  about: 'messages that are worked on once',
  commands: [
    {
      name: 'send',
      about: 'enqueue a message, and print its ID; the message is a string',
      args: [queueName, { name: 'data', about: '- reads it from stdin, unchanged' }],
      options: [
        { long: 'json-value', short: 'j', about: 'parse the message as JSON' },
        { long: 'group', value: 'name', about: 'deliver those of one group strictly one after the other' },
        { long: 'dedup', value: 'id', about: 'enqueue it once for this id' },
        { long: 'delay', value: 'duration', about: 'deliver it after this' },
        { long: 'ttl', value: 'duration', about: 'drop it after this' },
        { long: 'priority', value: 'n', about: '0 to 9; higher ones are delivered first' },
      ],
      load: async () => (await loadQueue()).sendMessage,
    },
    {
      name: 'take',
      about: 'take messages, and print ID, lock and data; exits with 1 if there is none',
      args: [queueName],
      options: [
        { long: 'max', value: 'n', about: 'take at most N messages (default 1)' },
        { long: 'ttl', value: 'duration', about: 'they are delivered again after this (default 30s)' },
        { long: 'wait', short: 'w', value: 'duration', about: 'wait at most this long for a message' },
      ],
      load: async () => (await loadQueue()).takeMessages,
    },
    {
      name: 'ack',
      about: 'a message is done; without its lock, a dead one is deleted',
      args: [queueName, messageId, { name: 'lock', optional: true, about: 'of its delivery' }],
      load: async () => (await loadQueue()).ackMessage,
    },
    {
      name: 'nack',
      about: 'give a message back, to be tried again',
      args: [queueName, messageId, { name: 'lock', about: 'of its delivery' }],
      options: [
        { long: 'delay', value: 'duration', about: 'deliver it again after this' },
        { long: 'error', value: 'text', about: 'shown to the next consumer' },
        { long: 'return', about: 'it was not begun: the attempt does not count' },
      ],
      load: async () => (await loadQueue()).nackMessage,
    },
    {
      name: 'work',
      about: 'run a command for each message, with the message on stdin; exit code 0 acks it',
      usage: 'NAME [options] -- COMMAND [ARGUMENT…]',
      args: [queueName, { name: 'command', optional: true, rest: true, about: 'after --' }],
      options: [
        { long: 'concurrency', short: 'c', value: 'n', about: 'run N commands at a time (default 1)' },
        {
          long: 'ttl',
          value: 'duration',
          about: 'a message is delivered again this long after we vanish (default 30s)',
        },
      ],
      load: async () => (await import('./queue-work.ts')).workQueue,
    },
    {
      name: 'list',
      about: 'list queues with what is in them',
      args: [{ name: 'prefix', optional: true, about: 'only names that begin with this' }],
      load: async () => (await loadQueue()).listQueues,
    },
    {
      name: 'stat',
      about: 'show what is in a queue',
      args: [queueName],
      load: async () => (await loadQueue()).showQueue,
    },
    {
      name: 'peek',
      about: 'look at messages and take none',
      args: [queueName],
      options: [
        { long: 'state', value: 'state', about: 'ready (default), inflight, delayed, dead or blocked' },
        { long: 'limit', value: 'n', about: 'at most N messages (default 100)' },
      ],
      load: async () => (await loadQueue()).peekQueue,
    },
    {
      name: 'pause',
      about: 'deliver nothing until the queue is resumed',
      args: [queueName],
      load: async () => (await loadQueue()).pauseQueue,
    },
    {
      name: 'resume',
      about: 'deliver again',
      args: [queueName],
      load: async () => (await loadQueue()).resumeQueue,
    },
    {
      name: 'purge',
      about: 'empty the queue at once, and print how many messages it had',
      args: [queueName],
      options: [{ long: 'forget', about: 'forget its policy and what it has seen, too' }],
      load: async () => (await loadQueue()).purgeQueue,
    },
    {
      name: 'redrive',
      about: 'try dead and blocked messages again, at most 1000, and print how many',
      args: [queueName],
      options: [
        { long: 'skip', about: 'drop them instead' },
        { long: 'id', value: 'id', about: 'only this message' },
        { long: 'group', value: 'name', about: 'only messages of this group' },
      ],
      load: async () => (await loadQueue()).redriveQueue,
    },
    {
      name: 'policy',
      about: 'print the policy; with options, set it first: what is left out has its default',
      args: [queueName],
      options: [
        { long: 'max-attempts', value: 'n', about: 'deliveries before --on-fail; 0: endless (default 5)' },
        { long: 'on-fail', value: 'what', about: 'dlq (default), drop or block' },
        { long: 'backoff-min', value: 'duration', about: 'wait after the first failed attempt (default 1s)' },
        { long: 'backoff-max', value: 'duration', about: 'longest wait (default 1h)' },
        { long: 'backoff-factor', value: 'n', about: 'so many times longer after each attempt (default 2)' },
        { long: 'parallel', value: 'n', about: 'messages out at a time; 0: any' },
        { long: 'max-messages', value: 'n', about: 'messages in the queue; 0: any' },
        { long: 'fifo', about: 'messages without a group form one line' },
        { long: 'retention', value: 'duration', about: 'messages are dropped after this' },
        { long: 'dead-retention', value: 'duration', about: 'dead messages are dropped after this (default 14d)' },
        { long: 'dedup-window', value: 'duration', about: 'how long a --dedup counts, or pending (default 5m)' },
      ],
      load: async () => (await loadQueue()).changePolicy,
    },
  ],
};
