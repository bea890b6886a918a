/** The schema of `http:` in config.yml. */
import { Type } from 'typebox';
import { count, threadsUpTo } from './config-numbers.ts';
import { tlsSchema } from './tls-schema.ts';

/** A name of letters, digits, hyphens and dots, an IPv4 address, or an IPv6 address with or without brackets. */
const hostPattern = '^([A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*\\.?|\\[?[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\\]?)$';

/** Node looks for connections that are late every second, or as often as the shortest of these times. */
const timeout = count(10, 'milliseconds', 24 * 60 * 60 * 1000);

export const httpSchema = Type.Optional(
  Type.Object(
    {
      threads: threadsUpTo(64),
      fast_lane: Type.Optional(Type.Boolean({ expected: 'true or false' })),
      hosts: Type.Optional(
        Type.Array(
          Type.String({
            pattern: hostPattern,
            expected: 'a host name or an IP address, without a port, such as dragonlock.internal',
          }),
          { uniqueItems: true, expected: 'a list of host names' },
        ),
      ),
      behind_proxy: Type.Optional(Type.Boolean({ expected: 'true or false' })),
      cors_origins: Type.Optional(
        Type.Array(
          Type.String({
            pattern: '^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$|^https?://\\[[0-9A-Fa-f:.]+\\](:[0-9]{1,5})?$',
            expected: 'an origin, such as https://app.example: scheme, host and port, no path, no *',
          }),
          { uniqueItems: true, expected: 'a list of origins' },
        ),
      ),
      socket_mode: Type.Optional(
        Type.String({ pattern: '^0?[0-7]{3}$', expected: 'the mode of Unix sockets as a text, such as "0660"' }),
      ),
      tls: tlsSchema,
      header_timeout_ms: timeout,
      request_timeout_ms: timeout,
      keep_alive_timeout_ms: timeout,
      write_timeout_ms: timeout,
    },
    { additionalProperties: false, expected: 'an object' },
  ),
);
