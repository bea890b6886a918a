/** Channels: SUBSCRIBE, PUBLISH, PUBSUB. */
import { refuseCommand } from '../resp-error.ts';
import { text, type Plan, type RespClient, type RespCommandSpec, type StepsPlan } from '../command.ts';
import type { ChannelQuestion } from '../channels.ts';
import { shownArgument, syntaxError } from '../argument.ts';
import { array, bulk, errorText, integer, type Writer } from '../writer.ts';

type SubscriptionKind = 'byName' | 'byPattern';

const channelBytesMax = 1024;
const patternBytesMax = 128;

/** They are no replies: CLIENT REPLY does not keep them back. */
function told(client: RespClient, pushes: readonly string[]): Plan {
  client.push(pushes.join(''));
  return text('');
}

function subscribe(kind: SubscriptionKind) {
  const most = kind === 'byName' ? channelBytesMax : patternBytesMax;
  return (args: readonly string[], client: RespClient): Plan => {
    const { subscriptions, writer } = client;
    const word = kind === 'byName' ? 'subscribe' : 'psubscribe';
    if (args.some((name) => name.length > most))
      return refuseCommand(`ERR the name is too long; expected at most ${most} bytes`);
    const replies = args.slice(1).map((name) => {
      subscriptions.add(kind, name);
      return writer.push([bulk(word), bulk(name), integer(subscriptions.count)]);
    });
    return told(client, replies);
  };
}

function unsubscribe(kind: SubscriptionKind) {
  const word = kind === 'byName' ? 'unsubscribe' : 'punsubscribe';
  return (args: readonly string[], client: RespClient): Plan => {
    const { subscriptions, writer } = client;
    const names = args.length > 1 ? args.slice(1) : [...subscriptions[kind]];
    if (names.length === 0) return told(client, [writer.push([bulk(word), writer.nil, integer(subscriptions.count)])]);
    const replies = names.map((name) => {
      subscriptions.remove(kind, name);
      return writer.push([bulk(word), bulk(name), integer(subscriptions.count)]);
    });
    return told(client, replies);
  };
}

type Answers = readonly (readonly (string | number)[])[];

/** Asks all front ends. What is on its way counts as in flight of the account. */
function asking(
  question: (client: RespClient) => ChannelQuestion,
  bytes: number,
  write: (answers: Answers, writer: Writer) => string,
): StepsPlan {
  return {
    kind: 'steps',
    start(client, done) {
      const { channels, accounts, limits } = client.context;
      const use = accounts.use(client.account);
      if (!use.takeBytes('inFlightBytes', bytes, limits.account_inflight_bytes_max)) {
        accounts.release(use);
        done(errorText('TRYAGAIN too many bytes in flight (limits.account_inflight_bytes_max)'));
        return undefined;
      }
      channels.ask(question(client), (answers) => {
        use.giveBytes('inFlightBytes', bytes);
        accounts.release(use);
        done(write(answers, client.writer));
      });
      return undefined;
    },
  };
}

function sumOf(answers: Answers, at = 0): number {
  return answers.reduce((sum, answer) => sum + Number(answer[at] ?? 0), 0);
}

/** What a message costs besides its bytes. */
const messageCost = 512;

function publish(args: readonly string[]): Plan {
  const [, channel = '', message = ''] = args;
  if (channel.length > channelBytesMax)
    return refuseCommand(`ERR the name is too long; expected at most ${channelBytesMax} bytes`);
  const question = ({ account }: RespClient): ChannelQuestion => ({ kind: 'publish', account, channel, message });
  return asking(question, channel.length + message.length + messageCost, (answers) => integer(sumOf(answers)));
}

function pubSub(args: readonly string[]): Plan {
  const [, name = '', ...rest] = args;
  switch (name.toLowerCase()) {
    case 'channels':
      if (rest.length > 1) return refuseCommand(syntaxError);
      if ((rest[0]?.length ?? 0) > patternBytesMax)
        return refuseCommand(`ERR the pattern is too long; expected at most ${patternBytesMax} bytes`);
      return asking(
        ({ account }) => ({ kind: 'channels', account, pattern: rest[0] ?? '*' }),
        messageCost,
        (answers) => array([...new Set(answers.flat())].map((channel) => bulk(String(channel)))),
      );
    case 'numsub':
      return asking(
        ({ account }) => ({ kind: 'subscribers', account, channels: rest }),
        messageCost * (rest.length + 1),
        (answers) => array(rest.flatMap((channel, at) => [bulk(channel), integer(sumOf(answers, at))])),
      );
    case 'numpat':
      return asking(
        ({ account }) => ({ kind: 'patterns', account }),
        messageCost,
        (answers) => integer(new Set(answers.flat()).size),
      );
    default:
      return refuseCommand(`ERR unknown subcommand '${shownArgument(name)}'. Try PUBSUB HELP.`);
  }
}

const group = 'pubsub';
const listen = {
  flags: ['pubsub', 'noscript', 'loading', 'stale'],
  group,
  scope: 'read',
  alone: true,
  subscribed: true,
} as const;
const ofAccount =
  'Channels are of the account. A name has at most 1,024 bytes, a pattern 128; an account has 256 patterns at a front end.';

export const pubSubCommands: readonly RespCommandSpec[] = [
  {
    ...listen,
    name: 'subscribe',
    arity: -2,
    usage: 'channel [channel …]',
    summary: 'Listens to channels',
    differs: `${ofAccount} Not within MULTI.`,
    plan: subscribe('byName'),
  },
  {
    ...listen,
    name: 'psubscribe',
    arity: -2,
    usage: 'pattern [pattern …]',
    summary: 'Listens to all channels that match',
    differs: `${ofAccount} Not within MULTI.`,
    plan: subscribe('byPattern'),
  },
  {
    ...listen,
    scope: 'any',
    name: 'unsubscribe',
    arity: -1,
    usage: '[channel …]',
    summary: 'Ends SUBSCRIBE',
    plan: unsubscribe('byName'),
  },
  {
    ...listen,
    scope: 'any',
    name: 'punsubscribe',
    arity: -1,
    usage: '[pattern …]',
    summary: 'Ends PSUBSCRIBE',
    plan: unsubscribe('byPattern'),
  },
  {
    name: 'publish',
    arity: 3,
    flags: ['pubsub', 'loading', 'stale', 'fast'],
    group,
    scope: 'write',
    usage: 'channel message',
    summary: 'Sends a message to those who listen; how many',
    differs: 'Not within MULTI.',
    alone: true,
    plan: publish,
  },
  {
    name: 'pubsub',
    arity: -2,
    flags: ['pubsub', 'loading', 'stale'],
    group,
    scope: 'read',
    usage: 'CHANNELS [pattern] | NUMSUB [channel …] | NUMPAT',
    summary: 'Who listens',
    alone: true,
    subcommands: ['channels', 'numsub', 'numpat'],
    plan: pubSub,
  },
];
