/** The schema of `log:` in config.yml, and what of it is for the log of requests. */
import { Type } from 'typebox';
import { isIP } from 'node:net';
import { logLevels, type LogLevel } from '../shared/log-levels.ts';
import { count } from './config-numbers.ts';

export const requestLogs = ['off', 'errors', 'slow', 'all'] as const;

export interface RequestLogSettings {
  /** `errors`: status 400 and above; `slow`: those, and what is slow; `all`: every request. */
  readonly requests: (typeof requestLogs)[number];
  readonly slow_ms: number;
  /** Lines have the path, and so keys. */
  readonly keys: boolean;
}

export interface LogSettings extends RequestLogSettings {
  readonly level: LogLevel;
}

export const logSchema = Type.Optional(
  Type.Object(
    {
      level: Type.Optional(Type.Enum(logLevels, { expected: `one of ${logLevels.join(', ')}` })),
      requests: Type.Optional(Type.Enum(requestLogs, { expected: `one of ${requestLogs.join(', ')}` })),
      slow_ms: count(1, 'ms', 24 * 60 * 60 * 1000),
      keys: Type.Optional(Type.Boolean({ expected: 'true or false' })),
    },
    { additionalProperties: false, expected: 'an object' },
  ),
);

export const logDefaults: LogSettings = { level: 'info', requests: 'off', slow_ms: 250, keys: false };

const aRange = 'an address or a range, such as 10.0.0.0/8';
export const trustedProxiesSchema = Type.Optional(
  Type.Array(Type.String({ expected: aRange }), { uniqueItems: true, expected: `a list of ${aRange}` }),
);

/** Returns what is wrong with one of `http.trusted_proxies`; undefined: nothing. */
export function badRange(range: string): string | undefined {
  const [address = '', bits, ...more] = range.split('/');
  const family = isIP(address);
  const widest = family === 6 ? 128 : 32;
  const isRange = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= widest);
  return family !== 0 && isRange && more.length === 0 ? undefined : `expected ${aRange}, got "${range}"`;
}
