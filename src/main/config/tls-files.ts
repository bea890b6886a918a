/** Reads and checks certificate and key of a listener, so that what is wrong with them is found before anything starts. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { TlsFiles } from '../../front-end/tls-schema.ts';
import type { ConfigFileReader } from './config-file.ts';

export interface TlsSettings {
  readonly cert_file: string;
  readonly key_file: string;
  readonly client_ca_file: string;
  readonly min_version: TlsFiles['minVersion'];
}

export interface FileReaders {
  /** Throws what `fs.readFileSync` throws. */
  readonly readFile: (file: string) => string;
  /** See `readSecretFile`. */
  readonly readSecret: (file: string) => string;
  /** Milliseconds since the Unix epoch, for certificates. */
  readonly now: () => number;
}

/** @returns undefined without TLS, or when the file has problems */
export function readTls(
  section: 'http' | 'resp',
  settings: TlsSettings,
  { readFile, readSecret, now }: FileReaders,
  file: ConfigFileReader,
): TlsFiles | undefined {
  const { cert_file, key_file, client_ca_file, min_version: minVersion } = settings;
  const problem: Problem = (key, why) => {
    file.problemAt([section, 'tls', key], why);
    return undefined;
  };
  if (cert_file === '' && key_file === '') {
    if (client_ca_file !== '') problem('client_ca_file', 'expected cert_file and key_file beside it');
    return undefined;
  }
  if (cert_file === '') return problem('cert_file', 'is missing beside key_file');
  if (key_file === '') return problem('key_file', 'is missing beside cert_file');
  const read = (key: keyof TlsSettings, reader: (name: string) => string): string | undefined => {
    try {
      return reader(settings[key]);
    } catch (error) {
      return problem(key, `${settings[key]} cannot be used: ${messageOf(error)}`);
    }
  };
  const cert = read('cert_file', readFile);
  const key = read('key_file', readSecret);
  const ca = client_ca_file === '' ? undefined : read('client_ca_file', readFile);
  if (ca !== undefined && certificateIn(ca) === undefined)
    problem('client_ca_file', `${client_ca_file} has no certificate in PEM`);
  if (cert === undefined || key === undefined) return undefined;
  checkDates(cert, now(), cert_file, problem);
  checkPair(cert, key, settings, problem);
  return { cert, key, ...(ca !== undefined && { ca }), minVersion };
}

type Problem = (key: keyof TlsSettings, why: string) => undefined;

function checkDates(cert: string, now: number, file: string, problem: Problem): void {
  const certificate = certificateIn(cert);
  if (certificate === undefined) return;
  const { validFrom, validTo } = certificate;
  if (Date.parse(validTo) < now) problem('cert_file', `${file} has expired (${validTo}); expected one that is valid`);
  if (Date.parse(validFrom) > now) problem('cert_file', `${file} is not valid yet (from ${validFrom} on)`);
}

function checkPair(cert: string, key: string, { cert_file, key_file }: TlsSettings, problem: Problem): void {
  const certificate = certificateIn(cert);
  if (certificate === undefined) return problem('cert_file', `${cert_file} has no certificate in PEM`);
  try {
    if (certificate.checkPrivateKey(createPrivateKey(key))) return;
    problem('key_file', `${key_file} does not belong to the certificate in ${cert_file}`);
  } catch (error) {
    problem('key_file', `${key_file} has no private key in PEM: ${messageOf(error)}`);
  }
}

/** The first certificate of a file, which is the server's own. */
export function certificateIn(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
