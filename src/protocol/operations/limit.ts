/** Rate limits: `Limit` in a batch. The parameters come with each call, and only the level is kept. */
import { Type } from 'typebox';
import { limitAmountMax, limitPerMsMax, limitRateMax, ttlMsMax, waitMsMax } from '../../shared/limits.ts';
import { refuseField } from '../refusal.ts';
import { call, integerParameter, requiredParameter, secondsParameter } from './call.ts';
import { closed, keyField, listField, readInteger, readKey, secondsField, secondsToMs } from './fields.ts';
import { listSection } from './section.ts';

export interface LimitOperation {
  readonly key: string;
  /** How much comes back in each `perMs`, in thousandths. */
  readonly rateThousandths: number;
  readonly perMs: number;
  /** The most that can be there. */
  readonly burst: number;
  /** 0: look, and take nothing. */
  readonly cost: number;
  /** The longest time for which the reply may be held. */
  readonly waitMs: number;
}

export interface LimitResult {
  /** How much can be taken at once now. */
  readonly left: number;
  /** Until all of `burst` is there again. */
  readonly resetMs: number;
  /** For how long the reply is held; absent: it is not. */
  readonly waitMs?: number;
}

const anAmount = `an integer from 0 to ${limitAmountMax}`;
const aBurst = `an integer from 1 to ${limitAmountMax}`;
const aRate = `a number from 0.001 to ${limitRateMax} with at most three decimals`;
const limitItem = Type.Object(
  {
    Key: keyField,
    Rate: Type.Number({ minimum: 0.001, maximum: limitRateMax, expected: aRate }),
    Per: Type.Optional(secondsField('zero', limitPerMsMax)),
    Burst: Type.Optional(Type.Integer({ minimum: 1, maximum: limitAmountMax, expected: aBurst })),
    Cost: Type.Optional(Type.Integer({ minimum: 0, maximum: limitAmountMax, expected: anAmount })),
    Wait: Type.Optional(secondsField('or zero', waitMsMax)),
  },
  { ...closed, expected: '{"Key","Rate"} with Per, Burst, Cost, Wait' },
);

export const limitSection = listSection<LimitOperation, LimitResult>({
  body: 'Limit',
  schema: { Limit: Type.Optional(listField(limitItem, 'a list of {"Key","Rate"} with Per, Burst, Cost, Wait')) },
  key: ({ key }) => key,
  effect: ({ cost }) => (cost === 0 ? 'read' : 'write'),
  scope: ({ cost }) => (cost === 0 ? 'read' : 'write'),
  read: ({ Limit, LockID }: { Limit?: Type.Static<typeof limitItem>[]; LockID?: string }, { root }) =>
    Limit?.map(({ Key, Rate, Per = 1, Burst, Cost, Wait = 0 }, i) => {
      const path = `${root}Limit[${i}]`;
      if (Wait > 0 && LockID !== undefined)
        refuseField(`${path}.Wait`, 'not together with LockID, whose lease would run meanwhile; expected 0 or absent');
      const given = { rate: Rate, perMs: secondsToMs(Per), burst: Burst, cost: Cost, waitMs: secondsToMs(Wait) };
      return limitOf(readKey(Key, `${path}.Key`), given, (name) => `${path}.${name}`);
    }),
});

interface GivenLimit {
  readonly rate: number;
  readonly perMs: number;
  readonly burst: number | undefined;
  readonly cost: number | undefined;
  readonly waitMs: number;
}

/** @param place names a parameter as the client wrote it */
function limitOf(
  key: string,
  { rate, perMs, burst = Math.max(1, Math.ceil(rate)), cost = 1, waitMs }: GivenLimit,
  place: (name: 'Rate' | 'Burst' | 'Cost') => string,
): LimitOperation {
  const rateThousandths = Math.round(rate * 1000);
  if (rateThousandths / 1000 !== rate) return refuseField(place('Rate'), `expected ${aRate}, got ${rate}`);
  if (cost > burst) {
    const why = `expected at most the burst, ${burst}, because more is never there at once`;
    return refuseField(place('Cost'), `${why}, got ${cost}`);
  }
  const fillMs = (burst * perMs) / rate;
  if (fillMs > ttlMsMax) {
    const most = `a burst that is there again within ${ttlMsMax / 1000} seconds`;
    return refuseField(place('Burst'), `expected ${most}, got ${burst}, which takes ${Math.ceil(fillMs / 1000)}`);
  }
  return { key, rateThousandths, perMs, burst, cost: readInteger(cost), waitMs };
}

export const limitCalls = {
  'limit.take': call({
    method: 'POST',
    path: 'limit/*',
    summary: 'Take from a rate limit, or be refused',
    query: {
      rate: requiredParameter({ type: 'number', min: 0.001, max: limitRateMax }, aRate),
      per: secondsParameter('zero', limitPerMsMax),
      burst: integerParameter(1, limitAmountMax),
      cost: integerParameter(0, limitAmountMax),
      wait: secondsParameter('or zero', waitMsMax),
    },
    command: ({ account, id, query: { rate, per = 1000, burst, cost, wait = 0 } }) => {
      const given = { rate, perMs: per, burst, cost, waitMs: wait };
      const operation = limitOf(id, given, (name) => `?${name.toLowerCase()}`);
      return { kind: 'batch', account, format: 'limit.take', limit: [operation] } as const;
    },
  }),
} as const;
