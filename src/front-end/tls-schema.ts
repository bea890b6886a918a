/** TLS of a listener: `http.tls` and `resp.tls` are the same. */
import { Type } from 'typebox';

export const tlsVersions = ['TLSv1.2', 'TLSv1.3'] as const;

const pemFile = Type.Optional(Type.String({ expected: 'a path of a file in PEM' }));

export const tlsSchema = Type.Optional(
  Type.Object(
    {
      cert_file: pemFile,
      key_file: pemFile,
      client_ca_file: pemFile,
      min_version: Type.Optional(Type.Enum(tlsVersions, { expected: `one of ${tlsVersions.join(', ')}` })),
    },
    { additionalProperties: false, expected: 'an object' },
  ),
);

/** Empty paths: no TLS, or no certificates of clients. */
export const tlsDefaults = { cert_file: '', key_file: '', client_ca_file: '', min_version: 'TLSv1.2' } as const;

/** The files as they were read at start or reload: PEM. Named as Node names them. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Clients must have a certificate of one of these authorities; absent: they need none. */
  readonly ca?: string;
  readonly minVersion: (typeof tlsVersions)[number];
}
