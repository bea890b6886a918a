/** Numbers in config.yml, for its schema. */
import { Type } from 'typebox';

/** More entries in a `Map` end the process: V8 takes 2^24. */
export const countMax = 10_000_000;
/** Of what is on disk. */
export const quotaMax = 2 ** 50;

export function count(min: number, unit: string, max: number) {
  const expected = `an integer from ${min} to ${max}${unit && ` (${unit})`}`;
  return Type.Optional(Type.Integer({ minimum: min, maximum: max, expected }));
}

export function threadsUpTo(max: number) {
  return Type.Optional(
    Type.Union([Type.Literal('auto'), Type.Integer({ minimum: 1, maximum: max })], {
      expected: `"auto", or an integer from 1 to ${max}`,
    }),
  );
}
