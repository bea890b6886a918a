/** The schema of `backup:` in config.yml. */
import { Type } from 'typebox';

const mib = 1024 * 1024;
const section = { additionalProperties: false, expected: 'an object' };

function count(min: number, unit: string, max: number) {
  return Type.Optional(
    Type.Integer({ minimum: min, maximum: max, expected: `an integer from ${min} to ${max} (${unit})` }),
  );
}

/** An empty text is as if the key were not there. */
function text(expected: string) {
  return Type.Optional(Type.String({ expected }));
}

export const backupSchema = Type.Object(
  {
    url: text('s3://BUCKET/PREFIX or file:///DIRECTORY'),
    interval_ms: count(100, 'milliseconds', 60_000),
    copy_hours: count(1, 'hours', 24 * 365),
    keep_moments_days: count(0, 'days', 36_500),
    keep_copies_days: count(0, 'days', 36_500),
    prune: Type.Optional(Type.Boolean({ expected: 'true or false' })),
    hold_bytes_max: count(mib, 'bytes', 2 ** 50),
    bytes_per_second_max: count(0, 'bytes, 0 = no limit', 2 ** 40),
    recipients: Type.Optional(
      Type.Array(Type.String({ pattern: '^age1[a-z0-9]+$', expected: 'a public key of age: age1…' }), {
        uniqueItems: true,
        expected: 'a list of public keys of age',
      }),
    ),
    s3: Type.Optional(
      Type.Object(
        {
          endpoint: text('https://HOST'),
          region: text('the name of a region'),
          path_style: Type.Optional(Type.Boolean({ expected: 'true or false' })),
          sse: Type.Optional(Type.Enum(['', 'AES256', 'aws:kms'], { expected: 'AES256 or aws:kms' })),
          sse_key_id: text('the id of a key'),
          storage_class: text('the name of a storage class'),
          access_key_id: text('the id of an access key'),
          secret_access_key_file: text('a path'),
        },
        section,
      ),
    ),
  },
  section,
);
