/** Pieces of JSON as text, mostly what a field expects: so they can hold more than JavaScript values can express. */
import type { SeededRandom } from '../support/seeded-random.ts';
import { chance, pick } from './fuzz.ts';

export type Part = (random: SeededRandom) => string;
export type Fields = readonly (readonly [name: string, value: Part, often: number])[];

/** Fields by their likelihood; now and then one is missing, repeated, unknown or of another type. */
export function object(random: SeededRandom, fields: Fields): string {
  const members: string[] = [];
  for (const [name, value, often] of fields) {
    if (!chance(random, often)) continue;
    const spelled = chance(random, 0.01)
      ? pick(random, [name.toLowerCase(), `${name}s`, '__proto__', '', 'constructor'])
      : name;
    members.push(`${JSON.stringify(spelled)}:${chance(random, 0.02) ? wild(random, 0) : value(random)}`);
    if (chance(random, 0.005)) members.push(members.at(-1)!);
  }
  if (chance(random, 0.01)) members.push(`"__proto__":${wild(random, 0)}`);
  return `{${members.join(',')}}`;
}

export function list(item: Part): Part {
  return (random) => {
    if (chance(random, 0.3)) return item(random);
    const length = chance(random, 0.02) ? 21 + random.below(5) : random.below(4);
    return `[${Array.from({ length }, () => item(random)).join(',')}]`;
  };
}

export function key(random: SeededRandom): string {
  if (chance(random, 0.95)) return pick(random, ['a', 'b', 'c', 'a/b']);
  return pick(random, [
    '',
    '__proto__',
    '\0',
    '\ud800',
    '€'.repeat(171),
    'k'.repeat(512),
    'k'.repeat(513),
    '😀',
    'constructor',
    ' ',
    '%',
    '\u2028',
  ]);
}

export const keyText: Part = (random) => JSON.stringify(key(random));
const integers = [
  '0',
  '1',
  '2',
  '5',
  '101',
  '102',
  '-1',
  '9007199254740991',
  '-9007199254740991',
  '9007199254740992',
  '1e400',
  '-0',
  '1.5',
  '1e3',
  '""',
];
/** Most are usual: one odd field has the whole body refused, and the core sees nothing of it. */
export const integerText: Part = (random) =>
  chance(random, 0.8) ? pick(random, ['1', '2', '5']) : pick(random, integers);
export const versionText: Part = (random) => (chance(random, 0.8) ? String(random.below(130)) : pick(random, integers));
export const booleanText: Part = (random) => (chance(random, 0.95) ? pick(random, ['true', 'false']) : 'null');
export const handleText: Part = (random) => {
  const number = String(100 + random.below(30));
  return chance(random, 0.9)
    ? number
    : pick(random, [`"${number}"`, '0', '"0"', '"x"', '1e16', '"9007199254740993"', '""']);
};
export const secondsText: Part = (random) =>
  chance(random, 0.9)
    ? pick(random, ['1', '10', '0.5', '30'])
    : pick(random, ['0', '-1', '1e-300', '300', '300.1', '86400', '86401', '1e9', '"1"', '5e-324', '-0']);
export const anyText: Part = (random) => wild(random, 0);

/** Any JSON, most of it short. */
function wild(random: SeededRandom, depth: number): string {
  const leaves = [
    'null',
    'true',
    'false',
    '0',
    '-0',
    '1',
    '1.5e-300',
    '1e400',
    '9007199254740993',
    '""',
    '"a"',
    '"\\u0000"',
    '"\\ud800"',
    '"€"',
    '{}',
    '[]',
  ];
  if (depth > 3 || chance(random, 0.6)) return pick(random, leaves);
  switch (random.below(6)) {
    case 0:
      return '['.repeat(130) + ']'.repeat(130);
    case 1:
      return JSON.stringify('x'.repeat(random.below(2500)));
    case 2:
    case 3:
      return `[${Array.from({ length: random.below(4) }, () => wild(random, depth + 1)).join(',')}]`;
    default: {
      const names = ['a', 'b', '__proto__', 'constructor', 'Key', 'toJSON', ''];
      const members = Array.from(
        { length: random.below(4) },
        () => `${JSON.stringify(pick(random, names))}:${wild(random, depth + 1)}`,
      );
      return `{${members.join(',')}}`;
    }
  }
}
