/** Certificates for tests, made by openssl. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

export const withoutOpenssl = spawnSync('openssl', ['version']).status !== 0 && 'openssl is not installed';

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** One that signs itself, for localhost, valid for so many days. */
export function makeCertificate(directory: string, name: string, days = 1): CertificateFiles {
  const [cert, key] = [path.join(directory, `${name}.crt`), path.join(directory, `${name}.key`)];
  const options = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days ${days} -subj /CN=${name} -addext subjectAltName=DNS:localhost,IP:127.0.0.1`;
  fs.mkdirSync(directory, { recursive: true });
  const made = spawnSync('openssl', [...options.split(' '), '-out', cert, '-keyout', key], {
    encoding: 'utf8',
  });
  assert.equal(made.status, 0, made.stderr);
  fs.chmodSync(key, 0o600);
  return { cert, key };
}
