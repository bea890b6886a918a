/** What a batch says of queues, by grammar. */
import { chance, pick } from './fuzz.ts';
import {
  anyText,
  booleanText,
  handleText,
  integerText,
  keyText,
  list,
  object,
  secondsText,
  type Fields,
  type Part,
} from './grammar.ts';

/** Mostly that of a message which an earlier body may have enqueued. */
const messageId: Part = (random) => {
  if (chance(random, 0.1))
    return pick(random, ['""', '"1"', '"1-"', '"01-0"', '"1-0:\\u0000"', '"1e3-0"', '5', '"-1-0"']);
  const [priority, group] = [pick(random, ['', '', '', 'p3']), pick(random, ['', '', ':a', ':b'])];
  return JSON.stringify(`${100 + random.below(30)}-${random.below(3)}${priority}${group}`);
};

const receipt = (random: Parameters<Part>[0], more: Fields): string =>
  object(random, [['Queue', keyText, 0.98], ['ID', messageId, 0.98], ['Lock', handleText, 0.95], ...more]);

export const queueFields: Fields = [
  [
    'Enqueue',
    list((random) =>
      object(random, [
        ['Queue', keyText, 0.98],
        ['Data', anyText, 0.98],
        ['Group', keyText, 0.3],
        ['DedupID', keyText, 0.2],
        ['Delay', secondsText, 0.2],
        ['TTL', secondsText, 0.2],
        ['Priority', integerText, 0.15],
      ]),
    ),
    0.25,
  ],
  [
    'Dequeue',
    (random) =>
      object(random, [
        ['Queue', keyText, 0.98],
        ['DequeueMax', integerText, 0.3],
        ['GroupMax', integerText, 0.2],
        ['LockDur', secondsText, 0.3],
        ['LockWait', secondsText, 0.1],
        ['AttemptID', keyText, 0.2],
      ]),
    0.2,
  ],
  ['Ack', list((random) => receipt(random, [])), 0.1],
  [
    'Nack',
    list((random) =>
      receipt(random, [
        ['Delay', secondsText, 0.3],
        ['Error', () => pick(random, ['"why"', JSON.stringify('e'.repeat(1025)), '"\\ud800"']), 0.3],
        ['Return', booleanText, 0.2],
      ]),
    ),
    0.1,
  ],
  ['Extend', list((random) => receipt(random, [['LockDur', secondsText, 0.6]])), 0.05],
];
