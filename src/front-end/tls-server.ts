/** What a server needs for TLS, for every door alike, and how it gets other certificates while it runs. */
import type { Server, TlsOptions } from 'node:tls';
import type { TlsFiles } from './tls-schema.ts';

/** A handshake that takes longer is ended: until it is done, no other timeout counts. */
const handshakeMsMax = 10_000;

export function tlsOptions({ ca, ...files }: TlsFiles): TlsOptions {
  return {
    ...files,
    handshakeTimeout: handshakeMsMax,
    allowHalfOpen: true,
    ...(ca !== undefined && { ca, requestCert: true, rejectUnauthorized: true }),
  };
}

/** New connections get the new certificate; what is open stays as it is. @throws when the files cannot be used */
export function useCertificate(server: Server, { cert, key, ca, minVersion }: TlsFiles): void {
  server.setSecureContext({ cert, key, minVersion, ...(ca !== undefined && { ca }) });
}
